import { throwIfAborted } from '../content/abort.ts'
import { boundsOf } from '../content/byte-range.ts'
import { type ByteStream, collect, streamOf } from '../content/byte-stream.ts'
import { type CheckedContent, checkClaim, checked } from '../content/checked.ts'
import type { Descriptor } from '../content/descriptor.ts'
import { singleFlight } from '../content/single-flight.ts'
import { fail } from '../core-errors.ts'
import type { ByteRange, Cache, HeldImage } from '../plugin/cache.ts'

/** How much a memory cache may hold. */
export interface MemoryCacheOptions {
  /** Bytes of all held content together; 64 MiB where absent, which is plenty for tests. */
  readonly limitBytes?: number
}

interface Content {
  readonly bytes: Uint8Array
  readonly crc32: number
}

/** Makes a cache that keeps checked content in memory: the least recently used goes first, what somebody still holds stays readable. */
export function memoryCache({ limitBytes = 64 * 1024 * 1024 }: MemoryCacheOptions = {}): Cache {
  const held = new Map<string, Content>()
  const share = singleFlight<Content>()
  let heldBytes = 0

  function keep(digest: string, content: Content): void {
    heldBytes += content.bytes.length - (held.get(digest)?.bytes.length ?? 0)
    held.delete(digest)
    held.set(digest, content)
    for (const [oldest, { bytes }] of held) {
      if (heldBytes <= limitBytes) return
      held.delete(oldest)
      heldBytes -= bytes.length
    }
  }

  return Object.freeze<Cache>({
    kind: 'cache',
    name: 'memory',
    spec: 0,
    async hold(descriptor, open, context) {
      const { digest, size } = descriptor
      checkClaim(descriptor)
      throwIfAborted(context.signal)
      if (size > limitBytes) throw fail('CACHE_FULL', `${digest}: expected at most ${limitBytes} bytes (limitBytes), found ${size}`)
      const known = held.get(digest)
      if (known !== undefined && known.bytes.length !== size) {
        throw fail('SIZE_MISMATCH', `${digest}: expected ${size} bytes, found ${known.bytes.length}`, {
          details: { digest, expected: size },
        })
      }
      // The size is part of the key, so that a wrong one fails by itself and not whoever asks for the right one.
      const content =
        known ??
        (await share(`${digest} ${size}`, context, async (signal, progress) =>
          download(await open({ signal }), descriptor, signal, (done) => progress(done, size)),
        ))
      keep(digest, content)
      return heldInMemory(descriptor, content)
    },
  })
}

async function download(
  source: ByteStream,
  descriptor: Descriptor,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<Content> {
  let crc32 = 0
  const onDone = (content: CheckedContent): void => {
    crc32 = content.crc32
  }
  const bytes = await collect(checked(source, descriptor, { signal, onProgress, onDone }), descriptor.size)
  return { bytes, crc32 }
}

function heldInMemory(descriptor: Descriptor, { bytes, crc32 }: Content): HeldImage {
  const part = (range?: ByteRange): Uint8Array => {
    const { offset, length } = boundsOf(range, descriptor)
    return bytes.subarray(offset, offset + length)
  }
  return Object.freeze({ descriptor, crc32, open: (range?: ByteRange) => streamOf(part(range)), body: part })
}
