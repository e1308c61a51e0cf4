import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  type Body,
  type Digest,
  digestAlgorithm,
  digestHex,
  type Gateway,
  type Principal,
  type Representation,
  throwIfAborted,
} from '@reflash/core'
import { closeBody, isFileRange } from '../../body.ts'
import { fail } from '../../http-errors.ts'

/** Lower case hex. */
export interface Hashes {
  readonly sha1: string
  readonly md5: string
  readonly sha256: string
}

export interface ImageHashes {
  /** @throws `IMAGE_UNREADABLE`, and whatever the gateway throws */
  of(who: Principal, offer: number, image: Representation, signal: AbortSignal): Promise<Hashes>
}

/** Images whose hashes are kept: more than the releases that one server offers at a time. */
const keptImages = 256

/**
 * The hashes that this dialect's clients check, of images whose descriptors have but one: each image is read once, by the first device that is
 * offered it, and the others wait for that.
 */
export function createImageHashes(gateway: Pick<Gateway, 'read'>): ImageHashes {
  const kept = new Map<Digest, Promise<Hashes>>()
  return Object.freeze<ImageHashes>({
    async of(who, offer, image, signal) {
      const { digest } = image.descriptor
      const { sha1, md5 } = image
      if (sha1 !== undefined && md5 !== undefined && digestAlgorithm(digest) === 'sha256') return { sha1, md5, sha256: digestHex(digest) }
      let hashes = kept.get(digest)
      if (hashes === undefined) {
        hashes = hashed(gateway, who, offer, image)
        kept.set(digest, hashes)
        const [oldest] = kept.keys()
        if (kept.size > keptImages && oldest !== undefined) kept.delete(oldest)
        // What failed is tried again by whoever comes next.
        hashes.catch(() => kept.delete(digest))
      }
      const made = await hashes
      throwIfAborted(signal)
      return made
    },
  })
}

// Without the signal of the device that came first: others wait for the same.
async function hashed(gateway: Pick<Gateway, 'read'>, who: Principal, offer: number, { descriptor }: Representation): Promise<Hashes> {
  const { representation, body } = await gateway.read(who, offer)
  if (representation.descriptor.digest !== descriptor.digest) {
    closeBody(body)
    throw fail('IMAGE_UNREADABLE', 'the offer changed while its image was opened')
  }
  const algorithms: readonly Hash[] = [createHash('sha1'), createHash('md5'), createHash('sha256')]
  let size = 0
  for await (const chunk of chunksOf(body)) {
    size += chunk.length
    for (const algorithm of algorithms) algorithm.update(chunk)
  }
  if (size !== descriptor.size) throw fail('IMAGE_SIZE_WRONG', `expected a body of ${descriptor.size} bytes, found ${size}`)
  const [sha1 = '', md5 = '', sha256 = ''] = algorithms.map((algorithm) => algorithm.digest('hex'))
  return Object.freeze({ sha1, md5, sha256 })
}

async function* chunksOf(body: Body): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) yield body
  else if (!isFileRange(body)) yield* body
  else {
    const { path, offset, length } = body
    if (length === 0) return
    try {
      for await (const chunk of createReadStream(path, { start: offset, end: offset + length - 1 })) yield chunk as Uint8Array
    } catch (cause) {
      throw fail('IMAGE_UNREADABLE', 'expected to read the file of an image, found that it cannot be', { cause })
    }
  }
}
