import { createHash } from 'node:crypto'
import type { Descriptor } from '../content/descriptor.ts'
import type { Json } from '../content/json.ts'
import { parseDescriptor } from '../content/manifest.ts'
import { parseReference } from '../content/reference.ts'
import { isOtaError, type OtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Registry } from '../plugin/registry.ts'

/** Tells what became of a request to the registry: `down` was answered from memory, or not at all. */
export type RegistryOutcome = { readonly is: 'ok' } | { readonly is: 'down'; readonly error: OtaError }

/** What nobody asks for is forgotten in the end, so that the journal does not grow with every tag there ever was. */
const rememberedMs = 400 * 24 * 3_600_000

/** Journal values stay below its limit; a repository with more tags than fit is simply not remembered. */
const rememberedTags = 10_000

/**
 * Wraps a registry so that what it resolved and listed is remembered in the journal and served while it is down: a restart during an
 * outage does not stop the fleet. What is remembered is a hint like any tag; every byte is still checked and every signature verified.
 */
export function rememberingRegistry(
  registry: Registry,
  journal: Journal,
  clock: () => Date,
  told: (repository: string, outcome: RegistryOutcome) => void,
): Registry {
  const orRemembered = async <T>(
    repository: string,
    key: string,
    ask: () => Promise<T>,
    toJson: (value: T) => Json | undefined,
    from: (json: Json) => T,
  ): Promise<T> => {
    try {
      const value = await ask()
      told(repository, { is: 'ok' })
      const json = toJson(value)
      if (json !== undefined) await remember(journal, key, json, clock())
      return value
    } catch (error) {
      if (!isOtaError(error) || error.fault !== 'unavailable') throw error
      told(repository, { is: 'down', error })
      const entry = await journal.get(key)
      if (entry === undefined) throw error
      return from(entry.value)
    }
  }
  return Object.freeze<Registry>({
    ...registry,
    resolve: async (reference, options) => {
      const { repository, digest } = parseReference(reference)
      const key = `registry/resolve/${hash(reference)}`
      if (digest !== undefined) {
        // A digest cannot change its meaning: no need to ask twice.
        const known = await journal.get(key)
        if (known !== undefined) return parseDescriptor(known.value)
      }
      return orRemembered(repository, key, () => registry.resolve(reference, options), descriptorJson, parseDescriptor)
    },
    ...(registry.tags === undefined
      ? {}
      : {
          tags: async function* (repository, options) {
            const list = async (): Promise<readonly string[]> => {
              const tags: string[] = []
              for await (const tag of registry.tags?.(repository, options) ?? []) tags.push(tag)
              return tags
            }
            const toJson = (tags: readonly string[]): Json | undefined => (tags.length <= rememberedTags ? tags : undefined)
            yield* await orRemembered(repository, `registry/tags/${hash(repository)}`, list, toJson, stringsOf)
          } satisfies NonNullable<Registry['tags']>,
        }),
  })
}

async function remember(journal: Journal, key: string, value: Json, now: Date): Promise<void> {
  try {
    const entry = await journal.get(key)
    if (entry !== undefined && JSON.stringify(entry.value) === JSON.stringify(value)) return
    await journal.put(key, value, { ifVersion: entry?.version ?? null, expires: new Date(now.getTime() + rememberedMs) })
  } catch (error) {
    // Another process remembered at the same time, or the disk is full: the answer is good all the same.
    if (!isOtaError(error) || error.fault !== 'unavailable') throw error
  }
}

function descriptorJson({ mediaType, digest, size }: Descriptor): Json {
  return { mediaType, digest, size }
}

function stringsOf(value: Json): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
