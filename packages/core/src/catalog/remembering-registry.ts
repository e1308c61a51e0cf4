import { createHash } from 'node:crypto'
import type { Descriptor } from '../content/descriptor.ts'
import type { Json } from '../content/json.ts'
import { parseDescriptor } from '../content/manifest.ts'
import { parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Registry } from '../plugin/registry.ts'
import { compareVersions, parseTag, tagLimit } from '../policy/version.ts'
import { limited } from './time-limit.ts'

/** Tells what became of a request to the registry: `down` was answered from memory, or not at all. */
export type RegistryOutcome = { readonly is: 'ok' } | { readonly is: 'down'; readonly error: OtaError }

/** A registry that remembers, and is told which roots were verified. */
export interface RememberingRegistry extends Registry {
  /** Remembers a root whose bytes were checked: its digest is never asked about again; and which answers for tags it was verified with. */
  keep(repository: string, root: Descriptor, answers: Answers): Promise<void>
  /** What tags pointed at when the release of this root was verified; undefined where it never was. */
  kept(repository: string, digest: string): Promise<Answers | undefined>
}

/** By reference, what a registry answered. */
export type Answers = ReadonlyMap<string, Descriptor>

/** Answers kept with a root; a signature verifier asks for one tag or two, and an index has one verification for each of its platforms. */
const keptAnswers = 128

/** What nobody asks for is forgotten in the end, so that the journal does not grow with every tag there ever was. */
const rememberedMs = 400 * 24 * 3_600_000
/** The highest versions that are remembered: a tag has at most 128 characters, so that they fit into one journal value. */
const rememberedTags = 2_000
/** The longest tag. OCI distribution spec, pulling manifests. */
const tagLength = 128

/**
 * Wraps a registry so that every question ends within `answerMs`, and what it resolved and listed is remembered in the journal and served
 * while it is down or keeps silent: a restart during an outage does not stop the fleet. What is remembered is a hint like any tag; every
 * byte is still checked and every signature verified.
 */
export function rememberingRegistry(
  registry: Registry,
  options: {
    readonly journal: Journal
    readonly clock: () => Date
    readonly answerMs: number
    readonly told: (repository: string, outcome: RegistryOutcome) => void
  },
): RememberingRegistry {
  const { journal, clock, answerMs, told } = options

  async function ask<T>(repository: string, question: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const late = (): Error => fail('REGISTRY_SILENT', `${repository}: expected the registry to answer within ${answerMs} ms`)
    try {
      const value = await limited(question, { signal: signal ?? never, limitMs: answerMs, late })
      told(repository, { is: 'ok' })
      return value
    } catch (error) {
      // What is not there was asked for and answered; `invalid` else is an answer that nobody can use.
      if (isOtaError(error) && error.fault !== 'aborted' && error.code !== 'NOT_FOUND') told(repository, { is: 'down', error })
      throw error
    }
  }

  async function orRemembered<T>(
    key: string,
    answer: Promise<T>,
    toJson: (value: T) => Json,
    from: (json: Json) => T | undefined,
  ): Promise<T> {
    try {
      const value = await answer
      await remember(key, toJson(value))
      return value
    } catch (error) {
      // Only what could not be asked is answered from memory: a registry that refuses us has answered.
      if (!isOtaError(error) || error.fault !== 'unavailable') throw error
      const entry = await journal.get(key)
      const known = entry === undefined ? undefined : from(entry.value)
      if (known === undefined) throw error
      return known
    }
  }

  // Another process may remember at the same time, the disk may be full: the answer is good all the same.
  async function remember(key: string, value: Json): Promise<void> {
    try {
      const entry = await journal.get(key)
      if (entry !== undefined && JSON.stringify(entry.value) === JSON.stringify(value)) return
      const expires = new Date(clock().getTime() + rememberedMs)
      await journal.put(key, value, { ifVersion: entry?.version ?? null, expires })
    } catch (error) {
      if (!isOtaError(error) || error.fault === 'aborted' || error.fault === 'internal') throw error
    }
  }

  const resolve: Registry['resolve'] = async (reference, o) => {
    const { repository, digest } = parseReference(reference)
    const question = (signal: AbortSignal): Promise<Descriptor> => registry.resolve(reference, { signal })
    if (digest === undefined) {
      const key = `registry/resolve/${hash(reference)}`
      return orRemembered(key, ask(repository, question, o?.signal), descriptorJson, storedDescriptor)
    }
    // A digest cannot change its meaning, and what it means was checked before it was kept: no need to ask twice.
    const entry = await journal.get(rootKey(repository, digest))
    const kept = entry === undefined ? undefined : storedDescriptor(entry.value)
    return kept?.digest === digest ? kept : ask(repository, question, o?.signal)
  }

  async function* tags(repository: string, o?: { readonly signal?: AbortSignal }): AsyncIterable<string> {
    const list = (signal: AbortSignal): Promise<readonly string[]> => listed(registry, repository, signal)
    yield* await orRemembered(`registry/tags/${hash(repository)}`, ask(repository, list, o?.signal), memorable, stringsOf)
  }

  async function kept(repository: string, digest: string): Promise<Answers | undefined> {
    const entry = await journal.get(rootKey(repository, digest))
    return entry === undefined || storedDescriptor(entry.value)?.digest !== digest ? undefined : storedAnswers(entry.value)
  }

  async function keep(repository: string, root: Descriptor, answers: Answers): Promise<void> {
    // The newest first: they are the last to be forgotten.
    const all = new Map([
      ...answers,
      ...[...((await kept(repository, root.digest)) ?? [])].filter(([reference]) => !answers.has(reference)),
    ])
    const tags = [...all].slice(0, keptAnswers).map(([reference, descriptor]) => [reference, descriptorJson(descriptor)])
    await remember(rootKey(repository, root.digest), tags.length === 0 ? descriptorJson(root) : { ...descriptorJson(root), tags })
  }

  // Content is mostly at rest here already, so that its requests say nothing of how the registry does; but a registry that refuses us must show.
  function refused(repository: string, error: unknown): unknown {
    if (isOtaError(error) && error.concerns === 'access') told(repository, { is: 'down', error })
    return error
  }

  const fetch: Registry['fetch'] = async (repository, ...rest) => {
    try {
      return await registry.fetch(repository, ...rest)
    } catch (error) {
      throw refused(repository, error)
    }
  }

  const { referrers } = registry
  async function* watched(repository: string, list: AsyncIterable<Descriptor>): AsyncIterable<Descriptor> {
    try {
      yield* list
    } catch (error) {
      throw refused(repository, error)
    }
  }

  return Object.freeze<RememberingRegistry>({
    ...registry,
    resolve,
    fetch,
    ...(referrers === undefined ? {} : { referrers: (repository, ...rest) => watched(repository, referrers(repository, ...rest)) }),
    ...(registry.tags === undefined ? {} : { tags }),
    keep,
    kept,
  })
}

const never = new AbortController().signal

// A list without end is cut one past the limit, where eligibleTags refuses it; what is no tag is not kept either.
async function listed(registry: Registry, repository: string, signal: AbortSignal): Promise<readonly string[]> {
  const tags: string[] = []
  let count = 0
  for await (const tag of registry.tags?.(repository, { signal }) ?? []) {
    count += 1
    if (typeof tag === 'string' && tag.length <= tagLength) tags.push(tag)
    if (count > tagLimit)
      throw fail('TOO_MANY_TAGS', `${repository}: expected at most ${tagLimit} tags, found more; the limit is fixed: remove old tags`)
  }
  return tags
}

// Versions alone, the highest of them: what else lies in a repository offers nothing to a device.
function memorable(tags: readonly string[]): Json {
  const versions = tags.flatMap((tag) => {
    const version = parseTag(tag)
    return version === undefined ? [] : [{ tag, version }]
  })
  if (versions.length > rememberedTags) versions.sort((a, b) => compareVersions(b.version, a.version))
  return versions.slice(0, rememberedTags).map(({ tag }) => tag)
}

function rootKey(repository: string, digest: string): string {
  return `registry/root/${hash(repository)}/${digest}`
}

function descriptorJson({ mediaType, digest, size }: Descriptor): { readonly [name: string]: Json } {
  return { mediaType, digest, size }
}

// What cannot be read was not written by us: as if it were not there.
function storedDescriptor(value: Json): Descriptor | undefined {
  try {
    return parseDescriptor(value)
  } catch (error) {
    if (isOtaError(error)) return undefined
    throw error
  }
}

// As above: what cannot be read is as if it were not there.
function storedAnswers(value: Json): Answers {
  const { tags } = value as { readonly tags?: Json }
  return new Map(
    (Array.isArray(tags) ? tags : []).flatMap((entry: Json): [string, Descriptor][] => {
      const [reference, json] = Array.isArray(entry) ? entry : []
      const descriptor = json === undefined ? undefined : storedDescriptor(json)
      return typeof reference === 'string' && descriptor !== undefined ? [[reference, descriptor]] : []
    }),
  )
}

function stringsOf(value: Json): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
