import {
  type ByteStream,
  checked,
  collect,
  concat,
  coreError,
  type Descriptor,
  isOtaError,
  manifestKind,
  mediaTypes,
  type Registry,
  streamOf,
  throwIfAborted,
} from '@reflash/core'
import { registryRules } from '@reflash/core/conformance'
import { memoryRegistry } from '@reflash/core/testing'
import { closing } from '../support/closing.ts'
import { rightRegistry } from '../support/right-plugins.ts'
import { briefMs, type Mutant, type MutantTable, mutantsOf, never, sharing, turn } from './mutant.ts'

type Full = Registry & Required<Pick<Registry, 'tags' | 'referrers' | 'push' | 'tag'>>

const { plugin: changed, options, common } = mutantsOf(registryRules, rightRegistry)
/** The memory registry has every power. */
const plugin = (rule: string, wrong: string, change: (right: Full) => Partial<Registry>, timeoutMs?: number): Mutant =>
  changed(rule, wrong, (right) => change(right as Full), timeoutMs)

const isFound = (error: unknown): boolean => !(isOtaError(error) && error.code === 'NOT_FOUND')

const resolving: readonly Mutant[] = [
  plugin('resolve-tag', 'resolves a tag to what it pointed at first', ({ resolve }) => {
    let first: Descriptor | undefined
    return {
      resolve: async (reference, given) => {
        const found = await resolve(reference, given)
        first ??= found
        return first
      },
    }
  }),
  plugin('resolve-digest', 'takes a digest for a tag', ({ resolve }) => ({
    resolve: (reference, given) => resolve(reference.replace(/^([^@]+:[^@/]+)@.*$/, '$1').replace('@sha256:', ':sha256-'), given),
  })),
  plugin('resolve-index', 'calls an index a manifest', ({ resolve }) => ({
    resolve: async (reference, given) => ({ ...(await resolve(reference, given)), mediaType: mediaTypes.manifest }),
  })),
  plugin('resolve-both', 'takes the tag where a reference has a digest too', ({ resolve }) => ({
    resolve: (reference, given) => resolve(reference.replace(/(:[^@/]+)@.*$/, '$1'), given),
  })),
  plugin('resolve-now', 'remembers where a tag pointed', ({ resolve }) => {
    const known = new Map<string, Descriptor>()
    return {
      resolve: async (reference, given) => {
        const found = known.get(reference) ?? (await resolve(reference, given))
        known.set(reference, found)
        return found
      },
    }
  }),
  plugin('resolve-missing', 'calls what is not there an outage', ({ resolve }) => ({
    resolve: (reference, given) =>
      resolve(reference, given).catch((error: unknown) => {
        throw isFound(error) ? error : coreError('REGISTRY_UNAVAILABLE', `expected ${reference}, found no answer`)
      }),
  })),
  plugin('resolve-blob', 'resolves the digest of a blob', ({ resolve, fetch }) => ({
    resolve: async (reference, given) => {
      try {
        return await resolve(reference, given)
      } catch (error) {
        const [repository = '', digest] = reference.split('@')
        if (isFound(error) || digest === undefined || repository.includes(':1')) throw error
        const descriptor = { mediaType: 'application/octet-stream', digest, size: 0 } as Descriptor
        const bytes = await collect(await fetch(repository, descriptor), 1 << 20)
        return { ...descriptor, size: bytes.length }
      }
    },
  })),
  plugin('resolve-nothing', 'takes no tag for "latest"', ({ resolve }) => ({
    resolve: (reference, given) => resolve(/^[a-z./]+$/.test(reference) ? `${reference}:latest` : reference, given),
  })),
  plugin('resolve-hostile', 'ignores white space around a reference', ({ resolve }) => ({
    resolve: (reference, given) => resolve(reference.trim(), given),
  })),
]

const fetching: readonly Mutant[] = [
  plugin('fetch-whole', 'gives 64 KiB at most', ({ fetch }) => ({
    fetch: async (repository, descriptor, given) => {
      const bytes = await collect(await fetch(repository, descriptor, given), 1 << 30)
      return streamOf(bytes.subarray(0, 65_536))
    },
  })),
  plugin('fetch-offset', 'gives the whole again where it is asked for the rest', ({ fetch }) => ({
    fetch: (repository, descriptor, given) => {
      const { offset = 0, ...rest } = given ?? {}
      return fetch(repository, descriptor, offset > 1 && offset < descriptor.size - 1 ? rest : (given ?? {}))
    },
  })),
  plugin('fetch-outside', 'gives nothing from an offset behind the end on', ({ fetch }) => ({
    fetch: async (repository, descriptor, given) =>
      (given?.offset ?? 0) > descriptor.size ? streamOf(new Uint8Array()) : fetch(repository, descriptor, given),
  })),
  plugin('fetch-missing', 'gives nothing for a blob that is not there', ({ fetch }) => ({
    fetch: (repository, descriptor, given) =>
      fetch(repository, descriptor, given).catch((error: unknown) => {
        if (isFound(error) || manifestKind(descriptor.mediaType) !== undefined) throw error
        return streamOf(new Uint8Array())
      }),
  })),
  plugin('fetch-no-descriptor', 'takes a digest in capitals', ({ fetch }) => ({
    fetch: (repository, descriptor, given) =>
      fetch(repository, { ...descriptor, digest: descriptor.digest.toLowerCase() as Descriptor['digest'] }, given),
  })),
  plugin('fetch-chunks', 'reads chunks into six buffers, one after the other', ({ fetch }) => ({
    fetch: async (repository, descriptor, given) => intoBuffers(await fetch(repository, descriptor, given)),
  })),
  plugin('fetch-apart', 'gives two readers of one blob the same stream', ({ fetch }) => {
    const open = new Map<string, Promise<ByteStream>>()
    return {
      fetch: (repository, descriptor, given) => {
        if (descriptor.size < 150_000 || given?.offset !== undefined) return fetch(repository, descriptor, given)
        const stream = open.get(descriptor.digest) ?? fetch(repository, descriptor, given)
        open.set(descriptor.digest, stream)
        void turn().then(() => open.delete(descriptor.digest))
        return stream
      },
    }
  }),
  plugin('fetch-left', 'counts a stream that was left as one that runs', ({ fetch }) => {
    let running = 0
    return {
      fetch: async (repository, descriptor, given) => {
        if (running >= 4) throw coreError('REGISTRY_UNAVAILABLE', 'expected at most four streams, found more')
        const stream = await fetch(repository, descriptor, given)
        return (async function* () {
          running += 1
          yield* stream
          running -= 1
        })()
      },
    }
  }),
]

async function* intoBuffers(stream: ByteStream): ByteStream {
  const buffers = Array.from({ length: 6 }, () => new Uint8Array(1 << 16))
  let count = 0
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; at += 1 << 16) {
      const part = chunk.subarray(at, at + (1 << 16))
      const buffer = buffers[count++ % buffers.length] as Uint8Array
      buffer.set(part)
      yield buffer.subarray(0, part.length)
    }
  }
}

const listing: readonly Mutant[] = [
  plugin('tags', 'lists one page', ({ tags }) => ({ tags: (repository, given) => atMost(100, tags(repository, given)) })),
  plugin('tags-now', 'lists a tag once for each move', ({ tags, tag }) => {
    const moves: string[] = []
    return {
      tag: async (descriptor, reference, given) => {
        await tag(descriptor, reference, given)
        if (reference.includes(':1.0.0') || reference.includes(':1.1.0')) moves.push(reference)
      },
      async *tags(repository, given) {
        for await (const name of tags(repository, given)) {
          const times = Math.max(1, moves.filter((reference) => reference === `${repository}:${name}`).length)
          for (let time = 0; time < times; time++) yield name
        }
      },
    }
  }),
  plugin('tags-missing', 'lists no tag for a repository that is not there', ({ tags }) => ({
    async *tags(repository, given) {
      try {
        yield* tags(repository, given)
      } catch (error) {
        if (isFound(error)) throw error
      }
    },
  })),
  plugin('referrers', 'does not say the type of a referrer', ({ referrers }) => ({
    async *referrers(repository, subject, given) {
      for await (const { artifactType: _, ...referrer } of referrers(repository, subject, given)) yield referrer
    },
  })),
  plugin('referrers-type', 'lists referrers of every type', ({ referrers }) => ({
    referrers: (repository, subject, given) => referrers(repository, subject, given?.signal === undefined ? {} : { signal: given.signal }),
  })),
  plugin('referrers-none', 'says NOT_FOUND for the referrers of what is not there', ({ referrers, resolve }) => ({
    async *referrers(repository, subject, given) {
      await resolve(`${repository}@${subject.digest}`, given)
      yield* referrers(repository, subject, given)
    },
  })),
]

async function* atMost<T>(count: number, items: AsyncIterable<T>): AsyncIterable<T> {
  let seen = 0
  for await (const item of items) {
    if (seen++ >= count) return
    yield item
  }
}

/** Pushes what the source gives under a descriptor of it, and answers for the other digest too. */
function taking(right: Full, fits: (descriptor: Descriptor, bytes: Uint8Array) => boolean): Partial<Registry> {
  const kept = new Map<string, Uint8Array>()
  return {
    push: async (repository, descriptor, open, given) => {
      const chunks: Uint8Array[] = []
      try {
        await right.push(repository, descriptor, () => recorded(open(), chunks), given)
      } catch (error) {
        if (!fits(descriptor, concat(chunks))) throw error
        kept.set(descriptor.digest, concat(chunks))
      }
    },
    fetch: async (repository, descriptor, given) => {
      const bytes = kept.get(descriptor.digest)
      return bytes === undefined ? right.fetch(repository, descriptor, given) : streamOf(bytes.subarray(given?.offset ?? 0))
    },
  }
}

async function* recorded(stream: ByteStream, chunks: Uint8Array[]): ByteStream {
  for await (const chunk of stream) {
    chunks.push(chunk)
    yield chunk
  }
}

const pushing: readonly Mutant[] = [
  plugin('push-other-bytes', 'takes content of the right size under any digest', (right) =>
    taking(right, ({ size }, { length }) => length === size),
  ),
  plugin('push-no-descriptor', 'takes a digest in capitals', ({ push }) => ({
    push: (repository, descriptor, open, given) =>
      push(repository, { ...descriptor, digest: descriptor.digest.toLowerCase() as Descriptor['digest'] }, open, given),
  })),
  plugin('push-broken-source', 'keeps what came of a source that broke', (right) =>
    taking(right, ({ size }, { length }) => size === 10_000 && length > 0 && length < size),
  ),
  plugin(
    'push-endless',
    'reads a source to its end before it looks at its size',
    ({ push }) => ({
      push: async (repository, descriptor, open, given) => {
        if (descriptor.size !== 100_000) return push(repository, descriptor, open, given)
        const start = performance.now()
        // Nobody is left to end it: the rule gave up before.
        for await (const _ of open()) if (performance.now() - start > 2 * briefMs) break
        return push(repository, descriptor, open, given)
      },
    }),
    briefMs,
  ),
  plugin('push-slow', 'takes an empty chunk for the end', ({ push }) => ({
    push: (repository, descriptor, open, given) => push(repository, descriptor, () => upToEmpty(open()), given),
  })),
  plugin('push-twice', 'refuses what is being pushed by another', ({ push }) => {
    const running = new Set<string>()
    return {
      push: async (repository, descriptor, open, given) => {
        if (running.has(descriptor.digest) && descriptor.size === 70_000)
          throw coreError('REGISTRY_UNAVAILABLE', 'expected to be the only writer, found another')
        running.add(descriptor.digest)
        try {
          await push(repository, descriptor, open, given)
        } finally {
          running.delete(descriptor.digest)
        }
      },
    }
  }),
  plugin('push-several', 'loses all tags but one that are set at the same time', ({ tag }) => {
    let running = 0
    return {
      tag: async (descriptor, reference, given) => {
        running += 1
        await turn()
        const isLast = running === 1
        running -= 1
        if (isLast) await tag(descriptor, reference, given)
      },
    }
  }),
  plugin('push-order', 'keeps a manifest that it has refused', (right) => {
    const refused = new Map<string, Descriptor>()
    return {
      push: async (repository, descriptor, open, given) => {
        try {
          await right.push(repository, descriptor, open, given)
        } catch (error) {
          if (!isFound(error)) refused.set(`${repository}@${descriptor.digest}`, descriptor)
          throw error
        }
      },
      resolve: async (reference, given) => refused.get(reference) ?? right.resolve(reference, given),
    }
  }),
  plugin('tag-missing', 'removes a tag before it looks for the manifest', (right) => {
    const removed = new Set<string>()
    return {
      tag: async (descriptor, reference, given) => {
        try {
          await right.tag(descriptor, reference, given)
          removed.delete(reference)
        } catch (error) {
          removed.add(reference)
          throw error
        }
      },
      resolve: async (reference, given) => {
        if (removed.has(reference)) throw coreError('NOT_FOUND', `expected ${reference}, found none`)
        return right.resolve(reference, given)
      },
    }
  }),
  plugin('tag-hostile', 'cuts a tag that is too long', ({ tag }) => ({
    tag: (descriptor, reference, given) => tag(descriptor, reference.replace(/(:x{128})x+$/, '$1'), given),
  })),
  options('isolated', 'shares its content with every other', sharing),
]

async function* upToEmpty(stream: ByteStream): ByteStream {
  for await (const chunk of stream) {
    if (chunk.length === 0) return
    yield chunk
  }
}

const leaving: readonly Mutant[] = [
  plugin('abort-before', 'lists tags for a caller who has left', ({ tags }) => ({ tags: (repository) => tags(repository) })),
  plugin('abort-fetch', 'streams on when its reader leaves', ({ fetch }) => ({
    fetch: async (repository, descriptor, given) => {
      const { signal, ...rest } = given ?? {}
      if (signal?.aborted) return fetch(repository, descriptor, given)
      return fetch(repository, descriptor, rest)
    },
  })),
  plugin('abort-list', 'looks once whether its reader has left, at the beginning of a list', ({ tags }) => ({
    async *tags(repository, given) {
      throwIfAborted(given?.signal)
      yield* tags(repository)
    },
  })),
  plugin(
    'abort-calls',
    'never tells a caller who has left',
    ({ resolve }) => ({
      resolve: async (reference, given) => {
        const found = await resolve(reference, given)
        await turn()
        return given?.signal?.aborted ? never() : found
      },
    }),
    briefMs,
  ),
  plugin('abort-push', 'waits for a source that hangs', hangingPush, briefMs),
  plugin('abort-after', 'forgets what it gave a caller who leaves later', ({ fetch }) => {
    const gone = new Set<string>()
    return {
      fetch: async (repository, descriptor, given) => {
        if (gone.has(descriptor.digest)) throw coreError('NOT_FOUND', `expected ${descriptor.digest}, found none`)
        const forget = (): unknown => descriptor.size === 1_000 && gone.add(descriptor.digest)
        given?.signal?.addEventListener('abort', forget, { once: true })
        return fetch(repository, descriptor, given)
      },
    }
  }),
  options('closed', 'lists tags after it was closed', (right) => ({
    ...right,
    make: async () => {
      const registry = memoryRegistry()
      const plugin = Object.freeze<Registry>({ ...closing(registry), tags: registry.tags })
      return { plugin, repositories: ['registry.test/a', 'registry.test/b'], dispose: async () => {} }
    },
  })),
]

function hangingPush({ push }: Full): Partial<Registry> {
  return {
    push: async (repository, descriptor, open, given) => {
      if (given?.signal === undefined || given.signal.aborted) return push(repository, descriptor, open, given)
      const bytes = await collect(checked(open(), descriptor), descriptor.size)
      return push(repository, descriptor, () => streamOf(bytes), given)
    },
  }
}

export const registryMutants: MutantTable = {
  suite: registryRules.kind,
  rules: registryRules.rules.map(({ id }) => id),
  mutants: [...common('resolve'), ...resolving, ...fetching, ...listing, ...pushing, ...leaving],
  unbroken: {},
}
