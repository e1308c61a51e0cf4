// A table of attacks, longer than a file should be: split, no one place would show that no two of them come to the same code.

import type { ServerResponse } from 'node:http'
import { type Digest, digestOf } from '@reflash/core'
import { type Exchange, type Intercept, send } from './attacked-registry.ts'
import type { LampReleases, StoredBytes } from './lamp-releases.ts'

/** One way in which a registry, or whoever stands between, is hostile. */
export interface RegistryAttack {
  readonly name: string
  /** The attack that this is a variant of: it comes to the same, and has the same code. */
  readonly like?: string
  /** Which part of the work meets it. */
  readonly group: 'trust' | 'content' | 'redirect' | 'flood' | 'silence'
  /** Where the tags point during it: the next release where absent. */
  readonly tags?: (releases: LampReleases) => Readonly<Record<string, Digest>>
  readonly intercept?: Intercept
  /** What a check-in, and a push, name as the reason; absent where there is nothing to refuse, because what was verified is what is served. */
  readonly code?: string
}

type On = (exchange: Exchange) => void

/** Where the tags point while nobody is hostile. */
export const honestTags = ({ next: { root } }: LampReleases) => ({ '1.1.0': root })

/** Those requests that `is` accepts. */
export const where =
  (is: (exchange: Exchange) => boolean, answer: On): Intercept =>
  (exchange) => {
    if (!is(exchange)) return false
    answer(exchange)
    return true
  }

export const isImage = ({ kind, name, releases }: Exchange): boolean => kind === 'blobs' && name === releases.next.image.digest
const isManifest = ({ kind, name, method, releases }: Exchange): boolean =>
  kind === 'manifests' && name === releases.next.root && method === 'GET'
export const isTags = ({ kind }: Exchange): boolean => kind === 'tags'
const isSignature = ({ kind, name, method, releases }: Exchange): boolean =>
  kind === 'manifests' && method === 'GET' && (name.endsWith('.sig') || [...releases.signatures.values()].includes(name as Digest))

const changed =
  (change: (bytes: Buffer) => Buffer, headers: object = {}): On =>
  ({ response, content, method }) => {
    const { mediaType, bytes } = content as NonNullable<typeof content>
    const found = change(Buffer.from(bytes))
    send(response, { mediaType, bytes: found }, method, headers)
  }

export const flipped = (bytes: Buffer): Buffer => {
  const middle = bytes.length >> 1
  bytes[middle] = (bytes[middle] as number) ^ 1
  return bytes
}

/** The 8th character of the base64 lies in the first number of an ECDSA signature: what comes out still parses. */
function forgedSignature({ mediaType, bytes }: StoredBytes): StoredBytes {
  const change = (_: string, begin: string, one: string): string => begin + (one === 'A' ? 'B' : 'A')
  return { mediaType, bytes: Buffer.from(bytes.toString().replace(/(cosign\/signature":"[^"]{7})(.)/, change)) }
}

/** Without a length, so that nothing warns before the bytes come. */
const unannounced =
  (change: (bytes: Buffer) => Buffer): On =>
  ({ response, content }) => {
    const { mediaType, bytes } = content as NonNullable<typeof content>
    response.writeHead(200, { 'Content-Type': mediaType })
    response.write(change(Buffer.from(bytes)))
    response.end()
  }

const piece = Buffer.alloc(64 * 1024, 0x20)

/** Sends for as long as anybody takes it. */
export function endless(response: ServerResponse, begin = '', chunk = piece): void {
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  }
  response.write(begin)
  response.on('drain', more)
  more()
}

const redirect =
  (to: (exchange: Exchange) => string): On =>
  (exchange) =>
    void exchange.response.writeHead(307, { Location: to(exchange) }).end()

/** A byte now and then, for ever. */
export function drip(response: ServerResponse, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => {
    if (response.destroyed) clearInterval(timer)
    else response.write(bytes.subarray(at, ++at))
  }, 20)
  response.on('close', () => clearInterval(timer))
}

export const json = { 'Content-Type': 'application/json' }

const silence = 'silence from the first request on'

const attacks: readonly RegistryAttack[] = [
  {
    name: 'the tag moves to an unsigned image once it was resolved',
    group: 'trust',
    intercept: ({ kind, name, count, releases, response, method }) => {
      if (kind !== 'manifests' || name !== '1.1.0' || (method === 'HEAD' && count === 1)) return false
      const { root } = releases.unsigned
      send(response, releases.content.get(root) as never, method, { 'Docker-Content-Digest': root })
      return true
    },
  },
  {
    name: 'the tag points at an unsigned image',
    group: 'trust',
    tags: ({ unsigned }) => ({ '1.1.0': unsigned.root }),
    code: 'SIGNATURE_NOT_FOUND',
  },
  {
    name: 'an old signed release is tagged as 9.9.9',
    group: 'trust',
    tags: ({ old }) => ({ '9.9.9': old.root }),
    code: 'VERSION_MISMATCH',
  },
  {
    name: "another product's signed release",
    group: 'trust',
    tags: ({ heater }) => ({ '1.2.0': heater.root }),
    code: 'WRONG_PRODUCT',
  },
  {
    name: 'the signature of another release',
    group: 'trust',
    tags: ({ unsigned }) => ({ '1.1.0': unsigned.root }),
    intercept: where(
      ({ kind, name }) => kind === 'manifests' && name.endsWith('.sig'),
      ({ releases, response, method }) => {
        const digest = [...releases.signatures.values()][0] as Digest
        send(response, releases.content.get(digest) as never, method, { 'Docker-Content-Digest': digest })
      },
    ),
    code: 'SIGNATURE_OTHER_ARTIFACT',
  },
  {
    name: 'one byte of a signature is flipped',
    group: 'trust',
    intercept: ({ kind, name, releases, response, method }) => {
      if (kind !== 'manifests') return false
      for (const [tag, digest] of releases.signatures) {
        const forged = forgedSignature(releases.content.get(digest) as StoredBytes)
        const stated = digestOf(forged.bytes)
        if (name !== tag && name !== stated) continue
        send(response, forged, method, { 'Docker-Content-Digest': stated })
        return true
      }
      return false
    },
    code: 'SIGNATURE_OTHER_KEY',
  },
  {
    name: "another digest's manifest",
    group: 'content',
    intercept: where(isManifest, ({ response, releases, method }) =>
      send(response, releases.content.get(releases.unsigned.root) as never, method),
    ),
    code: 'MANIFEST_MISMATCH',
  },
  { name: 'a byte of the image flipped', group: 'content', intercept: where(isImage, changed(flipped)), code: 'DIGEST_MISMATCH' },
  {
    name: 'the image truncated, and its length with it',
    group: 'content',
    intercept: where(
      isImage,
      changed((bytes) => bytes.subarray(0, -16)),
    ),
    code: 'TRUNCATED',
  },
  {
    name: 'the image truncated without a length',
    like: 'the image truncated, and its length with it',
    group: 'content',
    intercept: where(
      isImage,
      unannounced((bytes) => bytes.subarray(0, -1)),
    ),
    code: 'TRUNCATED',
  },
  {
    name: 'the connection cut in the middle of the image, every time',
    group: 'content',
    intercept: where(isImage, ({ response, content }) => {
      const { bytes } = content as { bytes: Buffer }
      response.writeHead(200, { 'Content-Length': bytes.length })
      response.write(bytes.subarray(0, 1000), () => response.destroy())
    }),
    code: 'REGISTRY_UNAVAILABLE',
  },
  {
    name: 'bytes appended to the image',
    group: 'content',
    intercept: where(
      isImage,
      unannounced((bytes) => Buffer.concat([bytes, Buffer.from('x')])),
    ),
    code: 'TRAILING_BYTES',
  },
  {
    name: 'a manifest as text/html',
    group: 'content',
    intercept: where(
      isManifest,
      changed((bytes) => bytes, { 'Content-Type': 'text/html' }),
    ),
    code: 'NOT_A_MANIFEST',
  },
  {
    name: 'a manifest as an index',
    group: 'content',
    intercept: where(
      isManifest,
      changed((bytes) => bytes, { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }),
    ),
    code: 'MEDIA_TYPE_MISMATCH',
  },
  {
    name: 'the image compressed on the way',
    group: 'content',
    intercept: where(
      isImage,
      changed((bytes) => bytes, { 'Content-Encoding': 'gzip' }),
    ),
    code: 'CONTENT_ENCODED',
  },
  {
    name: 'an image without end',
    like: 'bytes appended to the image',
    group: 'flood',
    intercept: where(isImage, ({ response }) => endless(response)),
    code: 'TRAILING_BYTES',
  },
  {
    name: 'a manifest without end',
    group: 'flood',
    intercept: where(isManifest, ({ response, content }) => {
      response.setHeader('Content-Type', (content as { mediaType: string }).mediaType)
      endless(response, '{')
    }),
    code: 'MANIFEST_TOO_LARGE',
  },
  {
    name: 'a signature without end',
    group: 'flood',
    intercept: where(isSignature, ({ response, content }) => {
      response.setHeader('Content-Type', (content as { mediaType: string }).mediaType)
      endless(response, '{')
    }),
    code: 'SIGNATURE_UNREADABLE',
  },
  {
    name: 'a token without end',
    group: 'flood',
    intercept: ({ url, response, origin }) => {
      if (url.startsWith('/v2/firmware/lamp/blobs/token')) endless(response.writeHead(200, json), '{"token":"')
      else response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${origin}/v2/firmware/lamp/blobs/token"` }).end()
      return true
    },
    code: 'TOKEN_TOO_LARGE',
  },
  {
    name: 'one page of tags without end',
    group: 'flood',
    intercept: where(isTags, ({ response }) => {
      endless(response.writeHead(200, json), '{"tags":["0.0.0"', Buffer.from(',"0.0.1"'.repeat(8192)))
    }),
    code: 'TOO_MANY_TAGS',
  },
  {
    name: 'pages of tags without end',
    like: 'one page of tags without end',
    group: 'flood',
    intercept: where(isTags, ({ response, count }) => {
      response.writeHead(200, { ...json, Link: `</v2/firmware/lamp/tags/list?last=${count}>; rel="next"` })
      response.end(JSON.stringify({ tags: Array.from({ length: 100 }, (_, index) => `${count}.${index}.0`) }))
    }),
    code: 'TOO_MANY_TAGS',
  },
  {
    name: 'empty pages of tags without end',
    like: 'one page of tags without end',
    group: 'flood',
    intercept: where(isTags, ({ response, count }) => {
      response.writeHead(200, { ...json, Link: `</v2/firmware/lamp/tags/list?last=${count}>; rel="next"` }).end('{"tags":[]}')
    }),
    code: 'TOO_MANY_TAGS',
  },
  {
    name: 'pages of tags that lead back',
    group: 'redirect',
    intercept: where(isTags, ({ response, url }) =>
      response.writeHead(200, { ...json, Link: `<${url}>; rel="next"` }).end('{"tags":["1.1.0"]}'),
    ),
    code: 'PAGES_LOOP',
  },
  {
    name: 'an answer of headers without end',
    group: 'flood',
    intercept: where(isImage, ({ response, request }) => {
      const { socket } = request
      socket.write('HTTP/1.1 200 OK\r\n')
      const line = `X-Flood: ${'x'.repeat(1000)}\r\n`.repeat(60)
      const more = (): void => {
        while (!socket.destroyed && socket.write(line));
      }
      socket.on('drain', more)
      response.detachSocket(socket)
      more()
    }),
    code: 'HEADERS_TOO_LARGE',
  },
  {
    name: 'an error page without end',
    group: 'flood',
    intercept: where(isImage, ({ response }) => endless(response.writeHead(404, json))),
    code: 'NOT_FOUND',
  },
  {
    name: 'a redirect to itself',
    group: 'redirect',
    intercept: where(
      isImage,
      redirect(({ url }) => url),
    ),
    code: 'TOO_MANY_REDIRECTS',
  },
  {
    name: 'a redirect to another origin, which sends its own image',
    like: 'a byte of the image flipped',
    group: 'redirect',
    intercept: where(
      isImage,
      redirect(({ elsewhere }) => `${elsewhere}/200`),
    ),
    code: 'DIGEST_MISMATCH',
  },
  {
    name: 'a redirect to another origin, which asks for credentials',
    group: 'redirect',
    intercept: where(
      isImage,
      redirect(({ elsewhere }) => `${elsewhere}/401`),
    ),
    code: 'CREDENTIALS_ELSEWHERE',
  },
  {
    name: 'a redirect to another origin and back',
    like: 'a redirect to another origin, which asks for credentials',
    group: 'redirect',
    intercept: where(
      (exchange) => isImage(exchange) && !exchange.url.includes('again'),
      redirect(({ elsewhere, url }) => `${elsewhere}/307${url}?again`),
    ),
    code: 'CREDENTIALS_ELSEWHERE',
  },
  {
    name: 'a redirect to another origin with a password in its URL',
    group: 'redirect',
    intercept: where(
      isImage,
      redirect(({ elsewhere }) => elsewhere.replace('//', '//reflash:guess@')),
    ),
    code: 'REDIRECT_WITH_CREDENTIALS',
  },
  {
    name: 'a token realm that is a file',
    group: 'redirect',
    intercept: ({ response }) => {
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="file:///etc/passwd"' }).end()
      return true
    },
    code: 'UNSAFE_TOKEN_REALM',
  },
  {
    name: 'a next page of tags at another origin',
    group: 'redirect',
    intercept: where(isTags, ({ response, elsewhere }) =>
      response.writeHead(200, { ...json, Link: `<${elsewhere}/200>; rel="next"` }).end('{"tags":["1.1.0"]}'),
    ),
    code: 'FOREIGN_PAGE',
  },
  {
    name: 'a redirect to a host that is not to be asked over plain http',
    group: 'redirect',
    intercept: where(
      isImage,
      redirect(() => 'http://169.254.169.254/latest/meta-data'),
    ),
    code: 'UNSAFE_REDIRECT',
  },
  {
    name: 'the credentials refused',
    group: 'redirect',
    intercept: ({ response }) => {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="lamp"' }).end()
      return true
    },
    code: 'REGISTRY_DENIED',
  },
  {
    name: 'a list of tags that is none',
    group: 'content',
    intercept: where(isTags, ({ response }) => response.writeHead(200, json).end('{"tags":"1.1.0"}')),
    code: 'REGISTRY_PROTOCOL',
  },
  {
    name: '429 for ever, to come back tomorrow',
    group: 'silence',
    intercept: ({ response }) => {
      response.writeHead(429, { 'Retry-After': '86400' }).end()
      return true
    },
    code: 'REGISTRY_BUSY',
  },
  {
    name: '429 for ever, at once',
    like: '429 for ever, to come back tomorrow',
    group: 'silence',
    intercept: ({ response }) => {
      response.writeHead(429, { 'Retry-After': '0' }).end()
      return true
    },
    code: 'REGISTRY_BUSY',
  },
  { name: silence, group: 'silence', intercept: () => true, code: 'REGISTRY_SILENT' },
  {
    name: 'silence before the head of the image',
    like: silence,
    group: 'silence',
    intercept: where(isImage, () => {}),
    code: 'REGISTRY_SILENT',
  },
  {
    name: 'silence in the middle of the image',
    like: silence,
    group: 'silence',
    intercept: where(isImage, ({ response, content }) => {
      const { bytes } = content as { bytes: Buffer }
      response.writeHead(200, { 'Content-Length': bytes.length })
      response.write(bytes.subarray(0, bytes.length >> 1))
    }),
    code: 'REGISTRY_SILENT',
  },
  {
    name: 'the image, a byte now and then',
    like: silence,
    group: 'silence',
    intercept: where(isImage, ({ response, content }) => {
      const { bytes } = content as { bytes: Buffer }
      drip(response.writeHead(200, { 'Content-Length': bytes.length }), bytes)
    }),
    code: 'REGISTRY_SILENT',
  },
  {
    name: 'the tags, a byte now and then',
    like: silence,
    group: 'silence',
    intercept: where(isTags, ({ response }) => drip(response.writeHead(200, json), Buffer.alloc(10_000, 0x20))),
    code: 'REGISTRY_SILENT',
  },
]

/** Every attack, and behind each its variants. */
export const registryAttacks: readonly RegistryAttack[] = attacks
  .filter(({ like }) => like === undefined)
  .flatMap((attack) => [attack, ...attacks.filter(({ like }) => like === attack.name)])
