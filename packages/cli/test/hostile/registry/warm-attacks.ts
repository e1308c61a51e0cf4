import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '@reflash/core'
import { type Exchange, type Intercept, send } from './attacked-registry.ts'
import type { LampReleases } from './lamp-releases.ts'
import { drip, endless, flipped, isTags, json, where } from './registry-attacks.ts'

/** An attack on a system that has served honestly: its cache and journal hold 1.0.0 and 1.1.0, and both devices are at work on 1.1.0. */
export interface WarmAttack {
  readonly name: string
  /** Where the tags point during it: as before where absent. */
  readonly tags?: (releases: LampReleases) => Readonly<Record<string, Digest>>
  readonly intercept?: Intercept
  /** What somebody does to the files of the cache. */
  readonly disk?: (blobs: string, releases: LampReleases) => Promise<void>
  /** What a device is told of the tag that is newer than 1.1.0, which it does not get. */
  readonly newer?: string
  /** What comes of it in the same process, and where the server was started again meanwhile. */
  readonly running: WarmOutcome
  readonly restarted: WarmOutcome
}

/** What three devices get of it: `served` where that is 1.1.0, else the code that they are told; an update under way stays open then. */
export interface WarmOutcome {
  /** The device that pulls, and was in the middle of its download. */
  readonly pull: string
  /** The device that was in the middle of a push: a push looks at the tags again. */
  readonly push: string
  /** A device that is at nothing yet, and asks for the first time: `served` is an offer. */
  readonly fresh: string
}

export const served = 'served'

/** Where the tags point while nobody is hostile. */
export const knownTags = ({ old, next }: LampReleases) => ({ '1.0.0': old.root, '1.1.0': next.root })

const everywhere: WarmOutcome = { pull: served, push: served, fresh: served }
/** An update under way goes on; nobody else begins one. */
const underWay = (code: string): WarmOutcome => ({ pull: served, push: code, fresh: code })

const path = (blobs: string, digest: string): string => join(blobs, ...digest.split(':'))

/** Changes one file in place, whoever has it open. */
const rewritten =
  (
    digest: (releases: LampReleases) => string,
    change: (bytes: Buffer, blobs: string, releases: LampReleases) => Buffer | Promise<Buffer>,
  ) =>
  async (blobs: string, releases: LampReleases): Promise<void> => {
    const file = path(blobs, digest(releases))
    await writeFile(file, await change(await readFile(file), blobs, releases))
  }

const image = ({ next }: LampReleases): string => next.image.digest
const manifest = ({ next }: LampReleases): string => next.root
const signature = ({ next, signatures }: LampReleases): string => signatures.get(`${next.root.replace(':', '-')}.sig`) as string

/** As a copy does that keeps the times of what it copies. */
async function flippedInSecret(blobs: string, releases: LampReleases): Promise<void> {
  const file = path(blobs, image(releases))
  const { atime, mtime } = await stat(file)
  await writeFile(file, flipped(await readFile(file)))
  await utimes(file, atime, mtime)
}

async function emptied(blobs: string): Promise<void> {
  for (const name of await readdir(join(blobs, 'sha256'))) await rm(join(blobs, 'sha256', name))
}

const isSignatureTag = ({ kind, name }: Exchange): boolean => kind === 'manifests' && name.endsWith('.sig')
const refuse =
  (status: number, headers: object = {}) =>
  ({ response }: Exchange): void =>
    void response.writeHead(status, { ...headers }).end()
const always = (): boolean => true

const tokenFlood: Intercept = ({ url, response, origin }) => {
  if (url.startsWith('/v2/firmware/lamp/blobs/token')) endless(response.writeHead(200, json), '{"token":"')
  else response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${origin}/v2/firmware/lamp/blobs/token"` }).end()
  return true
}

/** Other bytes of the right length for everything that is asked for by its digest. */
const otherBytes: Intercept = where(
  ({ kind, name, content, method }) =>
    method === 'GET' && (kind === 'blobs' || kind === 'manifests') && name.includes(':') && content !== undefined,
  ({ response, content }) => {
    const { mediaType, bytes } = content as NonNullable<typeof content>
    send(response, { mediaType, bytes: flipped(Buffer.from(bytes)) })
  },
)

export const warmAttacks: readonly WarmAttack[] = [
  {
    name: 'the tag of what devices are at work on moves to an unsigned image',
    tags: ({ old, unsigned }) => ({ '1.0.0': old.root, '1.1.0': unsigned.root }),
    running: underWay('SIGNATURE_NOT_FOUND'),
    restarted: underWay('SIGNATURE_NOT_FOUND'),
  },
  {
    name: 'an unsigned image gets a newer tag',
    tags: (releases) => ({ ...knownTags(releases), '2.0.0': releases.unsigned.root }),
    newer: 'SIGNATURE_NOT_FOUND',
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'the old release that is known gets a newer tag',
    tags: (releases) => ({ ...knownTags(releases), '9.9.9': releases.old.root }),
    newer: 'VERSION_MISMATCH',
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: "another product's release gets a newer tag",
    tags: (releases) => ({ ...knownTags(releases), '1.2.0': releases.heater.root }),
    newer: 'WRONG_PRODUCT',
    running: everywhere,
    restarted: everywhere,
  },
  { name: 'other bytes for every digest', intercept: otherBytes, running: everywhere, restarted: everywhere },
  {
    name: 'the signatures deleted',
    intercept: where(isSignatureTag, refuse(404)),
    running: everywhere,
    restarted: underWay('SIGNATURE_NOT_FOUND'),
  },
  {
    name: 'the signatures replaced by those of another release',
    intercept: where(isSignatureTag, ({ response, method, releases }) => {
      const digest = releases.signatures.get(`${releases.heater.root.replace(':', '-')}.sig`) as Digest
      send(response, releases.content.get(digest) as never, method, { 'Docker-Content-Digest': digest })
    }),
    running: everywhere,
    restarted: underWay('SIGNATURE_OTHER_ARTIFACT'),
  },
  {
    name: 'tags without end',
    intercept: where(isTags, ({ response }) =>
      endless(response.writeHead(200, json), '{"tags":["0.0.0"', Buffer.from(',"0.0.1"'.repeat(8192))),
    ),
    running: everywhere,
    restarted: underWay('TOO_MANY_TAGS'),
  },
  {
    name: 'tags, a byte now and then',
    intercept: where(isTags, ({ response }) => drip(response.writeHead(200, json), Buffer.alloc(10_000, 0x20))),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'a token without end',
    intercept: tokenFlood,
    running: everywhere,
    restarted: underWay('TOKEN_TOO_LARGE'),
  },
  { name: 'silence', intercept: always, running: everywhere, restarted: everywhere },
  {
    name: '429 for ever',
    intercept: where(always, refuse(429, { 'Retry-After': '0' })),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'the credentials refused',
    intercept: where(always, refuse(401, { 'WWW-Authenticate': 'Basic realm="lamp"' })),
    running: everywhere,
    restarted: underWay('REGISTRY_DENIED'),
  },
  {
    name: 'everything deleted',
    intercept: where(always, refuse(404)),
    running: underWay('NOT_FOUND'),
    restarted: underWay('NOT_FOUND'),
  },
  {
    name: 'nothing, while a byte of the image is flipped in the cache',
    disk: rewritten(image, flipped),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while a byte is flipped in the cache and the times put back',
    disk: flippedInSecret,
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while the image is truncated in the cache',
    disk: rewritten(image, (bytes) => bytes.subarray(0, bytes.length >> 1)),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while the image grows in the cache',
    disk: rewritten(image, (bytes) => Buffer.concat([bytes, Buffer.from('x')])),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while 1.0.0 is put in the place of the image in the cache',
    disk: rewritten(image, (_, blobs, { old }) => readFile(path(blobs, old.image.digest))),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while the manifest is replaced in the cache',
    disk: rewritten(manifest, (_, blobs, { old }) => readFile(path(blobs, old.root))),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'nothing, while the signature is replaced in the cache',
    disk: rewritten(signature, (_, __, { content, signatures, heater }) => {
      const digest = signatures.get(`${heater.root.replace(':', '-')}.sig`) as Digest
      return (content.get(digest) as { bytes: Buffer }).bytes
    }),
    running: everywhere,
    restarted: everywhere,
  },
  {
    name: 'other bytes for every digest, while a byte of the image is flipped in the cache',
    intercept: otherBytes,
    disk: rewritten(image, flipped),
    running: { pull: 'RELEASE_UNREACHABLE', push: 'RELEASE_UNREACHABLE', fresh: served },
    restarted: { pull: 'RELEASE_UNREACHABLE', push: 'DIGEST_MISMATCH', fresh: 'DIGEST_MISMATCH' },
  },
  {
    name: 'other bytes for every digest, while the cache is emptied',
    intercept: otherBytes,
    disk: emptied,
    running: { pull: 'RELEASE_UNREACHABLE', push: 'RELEASE_UNREACHABLE', fresh: served },
    restarted: { pull: 'RELEASE_UNREACHABLE', push: 'MANIFEST_MISMATCH', fresh: 'MANIFEST_MISMATCH' },
  },
]
