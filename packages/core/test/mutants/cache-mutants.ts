import { existsSync, readFileSync } from 'node:fs'
import {
  type ByteRange,
  type Cache,
  checked,
  collect,
  coreError,
  crc32,
  type Descriptor,
  type Digest,
  type HeldImage,
  streamOf,
  throwIfAborted,
} from '@reflash/core'
import { cacheRules } from '@reflash/core/conformance'
import { memoryCache } from '@reflash/core/testing'
import { closingCache } from '../support/closing.ts'
import { onDisk, rightCache } from '../support/right-plugins.ts'
import { briefMs, type Mutant, type MutantTable, mutantsOf, sharing } from './mutant.ts'

const { plugin, options, common } = mutantsOf(cacheRules, rightCache)
const nothing = async (): Promise<void> => {}

/** The image with other members. */
const changed = (image: HeldImage, members: Partial<HeldImage>): HeldImage => Object.freeze({ ...image, ...members })

/** The cache whose images are changed. */
const giving =
  (change: (image: HeldImage, descriptor: Descriptor) => HeldImage) =>
  ({ hold }: Cache): Partial<Cache> => ({
    hold: async (descriptor, open, context) => change(await hold(descriptor, open, context), descriptor),
  })

const holding: readonly Mutant[] = [
  plugin(
    'whole',
    'loses the last byte of what is larger than a chunk',
    giving((image, { size }) => {
      const length = size > 65_536 ? size - 1 : size
      return changed(image, { open: (range) => image.open(range ?? { offset: 0, length }) })
    }),
  ),
  plugin(
    'ranges',
    'gives a part up to the end of the image',
    giving((image) => changed(image, { body: (range) => image.body(range && { offset: range.offset }) })),
  ),
  plugin(
    'ranges-outside',
    'gives what there is of a part that lies outside',
    giving((image, { size }) => {
      const clipped = ({ offset, length }: ByteRange): ByteRange => {
        const from = Math.min(Math.max(0, Math.trunc(offset) || 0), size)
        return { offset: from, length: Math.min(Math.max(0, length ?? size), size - from) }
      }
      return changed(image, { body: (range) => image.body(range && clipped(range)), open: (range) => image.open(range && clipped(range)) })
    }),
  ),
  plugin(
    'facts',
    'says a CRC-32 with a sign',
    giving((image) => changed(image, { crc32: image.crc32 | 0 })),
  ),
  plugin('once', 'opens the source again for what it holds', ({ hold }) => ({
    hold: async (descriptor, open, context) => {
      const image = await hold(descriptor, open, context)
      if (descriptor.size !== 70_000) return image
      for await (const _ of await open({ signal: context.signal })) break
      return image
    },
  })),
  plugin('algorithms', 'knows SHA-256 only', ({ hold }) => ({
    hold: async (descriptor, open, context) => {
      if (/^sha(384|512):/.test(descriptor.digest)) throw coreError('INVALID_DIGEST', 'expected sha256, found another algorithm')
      return hold(descriptor, open, context)
    },
  })),
  plugin('slow', 'takes an empty chunk for the end', ({ hold }) => ({
    hold: (descriptor, open, context) => hold(descriptor, async (given) => upToEmpty(await open(given)), context),
  })),
  plugin('progress', 'tells of no progress', ({ hold }) => ({
    hold: (descriptor, open, { signal, now }) => hold(descriptor, open, { signal, now }),
  })),
  options('isolated', 'shares its content with every other', sharing),
]

async function* upToEmpty(stream: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of stream) {
    if (chunk.length === 0) return
    yield chunk
  }
}

/** The content as the source gives it, under a descriptor that fits. */
async function heldAnyhow(
  { hold }: Cache,
  descriptor: Descriptor,
  open: Parameters<Cache['hold']>[1],
  context: Parameters<Cache['hold']>[2],
  fits: (bytes: Uint8Array) => boolean,
): Promise<HeldImage> {
  const given: Uint8Array[] = []
  try {
    return await hold(descriptor, async (options) => recorded(await open(options), given), context)
  } catch (error) {
    const bytes = Buffer.concat(given)
    if (!fits(bytes)) throw error
    const part = ({ offset = 0, length }: Partial<ByteRange> = {}): Uint8Array =>
      bytes.subarray(offset, length === undefined ? undefined : offset + length)
    return { descriptor, crc32: crc32(bytes), open: (range) => streamOf(part(range)), body: part }
  }
}

async function* recorded(stream: AsyncIterable<Uint8Array>, given: Uint8Array[]): AsyncIterable<Uint8Array> {
  for await (const chunk of stream) {
    given.push(chunk)
    yield chunk
  }
}

const damage: readonly Mutant[] = [
  plugin('other-bytes', 'checks the size and not the digest', (right) => ({
    hold: (descriptor, open, context) => heldAnyhow(right, descriptor, open, context, ({ length }) => length === descriptor.size),
  })),
  plugin('wrong-size', 'finds what it holds by the digest alone', ({ hold }) => {
    const sizes = new Map<string, number>()
    return {
      hold: async (descriptor, open, context) => {
        const image = await hold({ ...descriptor, size: sizes.get(descriptor.digest) ?? descriptor.size }, open, context)
        sizes.set(descriptor.digest, descriptor.size)
        return image
      },
    }
  }),
  plugin('no-descriptor', 'opens the source before it looks at the descriptor', ({ hold }) => ({
    hold: async (descriptor, open, context) => {
      if (Number.isSafeInteger(descriptor.size) && descriptor.size >= 0 && /^sha\d+:[0-9a-f]+$/.test(descriptor.digest))
        return hold(descriptor, open, context)
      const stream = await open({ signal: context.signal })
      return hold(descriptor, async () => stream, context)
    },
  })),
  plugin(
    'endless',
    'reads a source to its end before it looks at its size',
    ({ hold }) => ({
      hold: (descriptor, open, context) =>
        hold(
          descriptor,
          async (given) => {
            const chunks: Uint8Array[] = []
            const start = performance.now()
            for await (const chunk of await open(given)) {
              if (chunks.length < 1_000) chunks.push(chunk)
              // Nobody is left to end it: the rule gave up before.
              if (performance.now() - start > 2 * briefMs) break
            }
            return streamOf(Buffer.concat(chunks))
          },
          context,
        ),
    }),
    briefMs,
  ),
  plugin('broken-source', 'hides why a source broke', ({ hold }) => ({
    hold: (descriptor, open, context) =>
      hold(descriptor, open, context).catch((error: unknown) => {
        if (error instanceof Error && error.message === 'the connection broke')
          throw coreError('CACHE_UNAVAILABLE', 'expected content, found none')
        throw error
      }),
  })),
]

const disk = mutantsOf(cacheRules, {
  make: ({ limitBytes }) => onDisk({ limitBytes }),
  factory: rightCache.factory as NonNullable<typeof rightCache.factory>,
  options: { limitBytes: 1000 },
})

/** A folder that is believed: what lies in it is given out as it is. */
const believing = (right: Cache, fileOf: (digest: Digest) => string): Cache =>
  Object.freeze<Cache>({
    ...right,
    hold: async (descriptor, open, context) => {
      const file = fileOf(descriptor.digest)
      if (!existsSync(file) || readFileSync(file).length !== descriptor.size) return right.hold(descriptor, open, context)
      return heldAnyhow(
        right,
        descriptor,
        async () => streamOf(readFileSync(file)),
        context,
        () => true,
      )
    },
  })

const resting: readonly Mutant[] = [
  disk.options('restart', 'begins with an empty folder after a restart', (right) => ({
    ...right,
    make: async (settings) => {
      const made = await onDisk(settings)
      const fresh = await onDisk(settings)
      const dispose = async (): Promise<void> => {
        await fresh.dispose()
        await made.dispose()
      }
      return { ...made, again: async () => fresh.plugin, dispose }
    },
  })),
  disk.options('spoiled', 'believes what lies in its folder', (right) => ({
    ...right,
    make: async (settings) => {
      const made = await onDisk(settings)
      return { ...made, again: async () => believing((await made.again?.()) as Cache, made.fileOf) }
    },
  })),
]

const callers: readonly Mutant[] = [
  plugin('shared', 'downloads once for each caller', ({ hold }) => {
    const running = new Set<string>()
    return {
      hold: async (descriptor, open, context) => {
        if (running.has(descriptor.digest)) await open({ signal: context.signal })
        running.add(descriptor.digest)
        try {
          return await hold(descriptor, open, context)
        } finally {
          running.delete(descriptor.digest)
        }
      },
    }
  }),
  plugin('shared-failure', 'tells only the first of those who share a download what was wrong', ({ hold }) => {
    const running = new Set<string>()
    return {
      hold: async (descriptor, open, context) => {
        const isFirst = !running.has(descriptor.digest)
        running.add(descriptor.digest)
        try {
          return await hold(descriptor, open, context)
        } catch (error) {
          throw isFirst || context.signal.aborted
            ? error
            : coreError('CACHE_UNAVAILABLE', 'expected another to succeed, found that it did not')
        } finally {
          running.delete(descriptor.digest)
        }
      },
    }
  }),
  plugin('other-content', 'gives every caller of one moment the same content', ({ hold }) => {
    let last: Promise<HeldImage> | undefined
    return {
      hold: (descriptor, open, context) => {
        if (descriptor.size < 20_000 || descriptor.size > 20_007) return hold(descriptor, open, context)
        last ??= hold(descriptor, open, context)
        return last
      },
    }
  }),
  plugin('abort-before', 'opens the source for a caller who has left', ({ hold }) => ({
    hold: async (descriptor, open, context) => {
      if (context.signal.aborted) await open({ signal: context.signal })
      return hold(descriptor, open, context)
    },
  })),
  plugin('abort-during', 'goes on with a download whose last caller has left', ({ hold }) => ({
    hold: (descriptor, open, context) => hold(descriptor, () => open({ signal: new AbortController().signal }), context),
  })),
  plugin(
    'abort-opening',
    'waits for a source to open, whoever leaves',
    ({ hold }) => ({
      hold: async (descriptor, open, context) => {
        let opening: Promise<unknown> | undefined
        try {
          return await hold(
            descriptor,
            (given) => {
              const stream = open(given)
              opening = stream
              return stream
            },
            context,
          )
        } catch (error) {
          await opening?.catch(() => undefined)
          throw error
        }
      },
    }),
    briefMs,
  ),
  plugin('first-leaves', 'ends a shared download when its first caller leaves', ({ hold }) => ({
    hold: (descriptor, open, context) =>
      hold(descriptor, ({ signal }) => open({ signal: AbortSignal.any([signal, context.signal]) }), context),
  })),
  plugin('abort-after', 'gives an image that ends when the caller of its download leaves', ({ hold }) => ({
    hold: async (descriptor, open, context) => {
      const image = await hold(descriptor, open, context)
      return changed(image, {
        body: (range) => {
          throwIfAborted(context.signal)
          return image.body(range)
        },
      })
    },
  })),
]

/** As much as is asked for, at least 64 MiB. */
const roomy = (limitBytes: number): number => Math.max(limitBytes, 64 * 1024 * 1024)

const room: readonly Mutant[] = [
  plugin('too-large', 'downloads what can never fit', ({ hold }, { limitBytes }) => ({
    hold: async (descriptor, open, context) => {
      if (limitBytes === 10_000 && descriptor.size > limitBytes) {
        const bytes = await collect(checked(await open({ signal: context.signal }), descriptor), descriptor.size)
        return hold(descriptor, async () => streamOf(bytes), context)
      }
      return hold(descriptor, open, context)
    },
  })),
  options('bounded', 'holds whatever it is given', (right) => ({
    ...right,
    make: async ({ limitBytes }) => {
      const open = closingCache(memoryCache({ limitBytes: roomy(limitBytes) }))
      const hold: Cache['hold'] = async (descriptor, source, context) => {
        if (descriptor.size > limitBytes && limitBytes === 10_000) throw coreError('CACHE_FULL', 'expected less, found more')
        return open.hold(descriptor, source, context)
      }
      return { plugin: Object.freeze<Cache>({ ...open, hold }), dispose: nothing }
    },
  })),
  options('recently-used', 'lets go first what came first', (right) => ({
    ...right,
    make: async ({ limitBytes }) => ({ plugin: firstInFirstOut(limitBytes), dispose: nothing }),
  })),
  plugin('held-stays', 'takes the content away from those who hold it', ({ hold }, { limitBytes }) => {
    let given = 0
    return {
      hold: async (descriptor, open, context) => {
        const image = await hold(descriptor, open, context)
        const [before, room] = [given, limitBytes]
        given += descriptor.size
        const expectHeld = (): void => {
          if (room === 2_500 && given - before > room) throw coreError('CACHE_UNAVAILABLE', 'expected the content, found it gone')
        }
        return changed(image, {
          open: (range) => {
            expectHeld()
            return image.open(range)
          },
        })
      },
    }
  }),
  options('closed', 'holds what it had after it was closed', (right) => ({
    ...right,
    make: async ({ limitBytes }) => {
      const cache = memoryCache({ limitBytes })
      const closed = closingCache(cache)
      const known = new Set<string>()
      const hold: Cache['hold'] = async (descriptor, open, context) => {
        if (known.has(descriptor.digest)) return cache.hold(descriptor, open, context)
        const image = await closed.hold(descriptor, open, context)
        known.add(descriptor.digest)
        return image
      }
      return { plugin: Object.freeze<Cache>({ ...closed, hold }), dispose: nothing }
    },
  })),
]

/** A memory of its own for each content, which no use renews. */
function firstInFirstOut(limitBytes: number): Cache {
  const right = closingCache(memoryCache({ limitBytes }))
  const images = new Map<string, HeldImage>()
  let heldBytes = 0
  return Object.freeze<Cache>({
    ...right,
    hold: async (descriptor, open, context) => {
      throwIfAborted(context.signal)
      const known = limitBytes === 3_500 ? images.get(descriptor.digest) : undefined
      if (known !== undefined) return known
      const image = await right.hold(descriptor, open, context)
      images.set(descriptor.digest, image)
      heldBytes += descriptor.size
      for (const [digest, { descriptor: oldest }] of images) {
        if (heldBytes <= limitBytes) break
        images.delete(digest)
        heldBytes -= oldest.size
      }
      return image
    },
  })
}

export const cacheMutants: MutantTable = {
  suite: cacheRules.kind,
  rules: cacheRules.rules.map(({ id }) => id),
  mutants: [...common('hold'), ...holding, ...damage, ...resting, ...callers, ...room],
  unbroken: {},
}
