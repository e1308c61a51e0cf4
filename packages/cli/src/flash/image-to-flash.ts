import { type ByteRange, checked, collect, crc32, digestOf, type HeldImage, OtaError, streamOf } from '@reflash/core'
import { cosignVerifier } from '@reflash/registry-oci'
import { readArtifact } from '../artifact.ts'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exists, readSmallFile } from '../files.ts'
import { oneImage } from '../one-image.ts'
import { type RegistryFlags, registryFrom } from '../registry-options.ts'

/** The most that a bootloader maps for one application, and what is kept in memory meanwhile. */
const imageLimitBytes = 16 * 1024 * 1024
/** Bytes of a public key: one of RSA has under 1 KiB. */
const keyLimitBytes = 65_536

export interface SourceFlags extends RegistryFlags {
  readonly key?: readonly string[]
  readonly allowUnsigned?: boolean
  readonly platform?: string
}

/** What is to be flashed. */
export interface ImageToFlash {
  readonly image: HeldImage
  /** The file, or the reference by digest. */
  readonly from: string
}

/** Reads a file. @throws `FILE_NOT_FOUND` and what reading throws */
export async function fileToFlash(path: string): Promise<ImageToFlash> {
  return { image: held(await readSmallFile(path, 'an image', imageLimitBytes), 'application/octet-stream'), from: path }
}

export async function isFile(subject: string): Promise<boolean> {
  return !subject.startsWith('oci:') && (await exists(subject))
}

/**
 * Resolves a reference once, verifies what it names, and fetches the image for a chip.
 * @throws `USAGE`, `NOT_VERIFIED`, and what the registry throws
 */
export async function referenceToFlash(reference: string, chip: string, flags: SourceFlags, cli: Cli): Promise<ImageToFlash> {
  const { signal } = cli
  const registry = await registryFrom(flags, cli)
  try {
    const artifact = await readArtifact(registry, reference, { signal })
    const platform = flags.platform ?? (artifact.index === undefined ? undefined : chip)
    const { image, manifestDescriptor } = await oneImage(registry, artifact, platform, { signal })
    if (flags.key !== undefined) {
      const keys = await Promise.all(
        flags.key.map(async (name) => ({ name, pem: new TextDecoder().decode(await readSmallFile(name, 'a public key', keyLimitBytes)) })),
      )
      const { repository, root, pinned } = artifact
      const { checks } = await cosignVerifier({ keys }).verify(
        { repository, reference: pinned, root, manifest: manifestDescriptor },
        { signal, now: cli.now(), from: registry, state: { get: async () => undefined, put: async () => '' } },
      )
      expectVerified(reference, checks)
    }
    if (image.size > imageLimitBytes) {
      throw fail('NOT_ONE_IMAGE', `${artifact.pinned}: expected an image of at most ${imageLimitBytes} bytes, found ${image.size}`)
    }
    const bytes = await collect(checked(await registry.fetch(artifact.repository, image, { signal }), image, { signal }), imageLimitBytes)
    return { image: held(bytes, image.mediaType), from: artifact.pinned }
  } finally {
    await registry.close?.()
  }
}

/** All checks must pass; where the network failed nobody can say. A verifier without checks has said nothing. */
function expectVerified(
  reference: string,
  checks: readonly { readonly name: string; readonly status: string; readonly reason?: string }[],
): void {
  const because = (status: string) =>
    checks.filter((check) => check.status === status).map(({ name, reason }) => ({ code: name, message: reason ?? name }))
  const [failed, open] = [because('failed'), because('inconclusive')]
  if (failed.length > 0 || checks.length === 0) {
    throw fail('NOT_VERIFIED', `no signature of the given key covers ${reference}`, failed.length > 0 ? { because: failed } : {})
  }
  if (open.length > 0)
    throw new OtaError('SIGNATURE_INCONCLUSIVE', 'unavailable', `the signatures of ${reference} could not be read`, { because: open })
}

function held(bytes: Uint8Array, mediaType: string): HeldImage {
  const part = ({ offset = 0, length }: Partial<ByteRange> = {}): Uint8Array =>
    bytes.subarray(offset, length === undefined ? undefined : offset + length)
  return {
    descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length },
    crc32: crc32(bytes),
    open: (range) => streamOf(part(range), 65_536),
    body: part,
  }
}
