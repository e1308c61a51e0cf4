import { aborted, throwIfAborted } from '../content/abort.ts'
import type { Platform } from '../content/descriptor.ts'
import { formatPlatform } from '../content/platform.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { singleFlight } from '../content/single-flight.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError, type Reason, type Stage } from '../errors.ts'
import type { Events } from '../events.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { Target } from '../plugin/target.ts'
import { type EligibleTag, eligibleTags } from '../policy/version.ts'
import { fetch } from '../update/fetch.ts'
import { inspect } from '../update/inspect.ts'
import type { Release, ReleaseDeps } from '../update/release-line.ts'
import { resolve } from '../update/resolve.ts'
import { verify } from '../update/verify.ts'

/** How old an answer may be, and how long one waits for a better one. Milliseconds. */
export interface CatalogTimes {
  /** Younger tags are served as they are. */
  readonly freshMs: number
  /** Older tags are waited for: a new tag is seen within this. */
  readonly staleMs: number
  /** How long a check-in waits for a registry that does not answer, before it is served what is known. */
  readonly waitMs: number
  /** How long a check-in waits for a new release to be fetched and verified. */
  readonly prepareMs: number
  /** The whole release line of one release. */
  readonly releaseMs: number
}

export const catalogTimes: CatalogTimes = Object.freeze({
  freshMs: 4_000,
  staleMs: 9_000,
  waitMs: 2_000,
  prepareMs: 20_000,
  releaseMs: 600_000,
})

/** The versions of one repository, highest first, at one moment. */
export interface Snapshot {
  readonly at: number
  readonly generation: number
  readonly tags: readonly EligibleTag[]
}

export interface ReleaseCatalog {
  /** The eligible versions; at once where they are fresh. */
  versions(repository: string, signal: AbortSignal): Snapshot | Promise<Snapshot>
  /** The release behind a tag, through the whole release line; at once where it is known. @throws what its rooms throw, remembered for a while */
  release(repository: string, tag: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Release | Promise<Release>
  /** The release of a pinned reference, once and for all. */
  pinned(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Release | Promise<Release>
  close(): void
}

interface Line {
  readonly repository: string
  readonly tag: string
  readonly generation: number
  readonly release?: Release
  readonly error?: OtaError
}

interface Shelf {
  snapshot: Snapshot | undefined
  /** No new attempt before this, after a failure. */
  retryAt: number
  failures: number
  /** What the last attempt failed with: served until `retryAt` where nothing else is known. */
  error: OtaError | undefined
  refreshing: Promise<Snapshot> | undefined
}

/** Repositories and releases kept in memory: one entry is small, its image lies in the cache. */
const keptRepositories = 10_000
const keptReleases = 4_096

export function createReleaseCatalog(options: {
  readonly deps: Omit<ReleaseDeps, 'target'>
  readonly channel: string
  readonly times: CatalogTimes
  readonly clock: () => Date
  readonly events: Events
}): ReleaseCatalog {
  const { deps, channel, times, clock, events } = options
  const shelves = new Map<string, Shelf>()
  const lines = new Map<string, Line>()
  const pins = new Map<string, Release>()
  const flight = singleFlight<Release>()
  const ended = new AbortController()

  function shelfOf(repository: string): Shelf {
    const known = shelves.get(repository)
    if (known !== undefined) return known
    const shelf: Shelf = { snapshot: undefined, retryAt: 0, failures: 0, error: undefined, refreshing: undefined }
    bounded(shelves, keptRepositories).set(repository, shelf)
    return shelf
  }

  function versions(repository: string, signal: AbortSignal): Snapshot | Promise<Snapshot> {
    throwIfAborted(signal)
    const shelf = shelfOf(repository)
    const { snapshot } = shelf
    const now = clock().getTime()
    const age = snapshot === undefined ? Number.POSITIVE_INFINITY : now - snapshot.at
    // A clock that was set back must not make an old answer look young for ever.
    if (snapshot !== undefined && age >= 0 && age < times.freshMs) return snapshot
    if (now < shelf.retryAt && shelf.retryAt - now <= maxBackoffMs) {
      if (snapshot !== undefined) return snapshot
      if (shelf.error !== undefined) throw shelf.error
    }
    const refreshing = refresh(repository, shelf)
    if (snapshot === undefined)
      return within(refreshing, times.prepareMs, signal, () => {
        throw unanswered(repository, times.prepareMs)
      })
    refreshing.catch(() => undefined)
    if (age >= 0 && age < times.staleMs) return snapshot
    return within(refreshing, times.waitMs, signal, () => snapshot).catch((error: unknown) => {
      if (isOtaError(error) && error.fault === 'unavailable') return snapshot
      throw error
    })
  }

  function refresh(repository: string, shelf: Shelf): Promise<Snapshot> {
    shelf.refreshing ??= readTags(repository, shelf).finally(() => {
      shelf.refreshing = undefined
    })
    return shelf.refreshing
  }

  async function readTags(repository: string, shelf: Shelf): Promise<Snapshot> {
    const { registry } = deps
    if (registry.tags === undefined) {
      throw fail('TAGS_UNSUPPORTED', `registry ${registry.name} cannot list tags: name a tag or digest in the repository template`)
    }
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(times.prepareMs)])
    try {
      const tags: string[] = []
      for await (const tag of registry.tags(repository, { signal })) tags.push(tag)
      const generation = (shelf.snapshot?.generation ?? 0) + 1
      const next: Snapshot = { at: clock().getTime(), generation, tags: eligibleTags(tags, { channel }) }
      await revalidate(repository, next, signal)
      shelf.snapshot = next
      shelf.failures = 0
      shelf.retryAt = 0
      return next
    } catch (error) {
      shelf.failures += 1
      shelf.retryAt = clock().getTime() + Math.min(maxBackoffMs, 500 * 2 ** Math.min(shelf.failures, 10))
      const told = !ended.signal.aborted && signal.aborted ? unanswered(repository, times.prepareMs) : error
      shelf.error = isOtaError(told) ? told : undefined
      throw told
    }
  }

  // Tags that still point at what was verified keep their release, so that no check-in waits when a new generation begins.
  async function revalidate(repository: string, { generation, tags }: Snapshot, signal: AbortSignal): Promise<void> {
    const asked = new Map<string, Promise<string | undefined>>()
    const rootOf = (tag: string): Promise<string | undefined> => {
      const root =
        asked.get(tag) ??
        deps.registry.resolve(formatReference({ repository, tag }), { signal }).then(
          ({ digest }) => digest,
          // Whatever it is, the line that asks again will say it.
          () => undefined,
        )
      asked.set(tag, root)
      return root
    }
    const candidates = new Set(tags.slice(0, candidateLimit).map(({ tag }) => tag))
    for (const [key, line] of lines) {
      if (line.repository !== repository || line.generation !== generation - 1) continue
      const digest = line.release?.held.verified.resolved.root.digest
      if (digest !== undefined && candidates.has(line.tag) && (await rootOf(line.tag)) === digest) lines.set(key, { ...line, generation })
      else lines.delete(key)
    }
  }

  function release(
    repository: string,
    tag: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
  ): Release | Promise<Release> {
    throwIfAborted(signal)
    const generation = shelfOf(repository).snapshot?.generation ?? 0
    const key = lineKey(`${repository}:${tag}`, platforms, target)
    const line = lines.get(key)
    if (line?.generation === generation) {
      if (line.release !== undefined) return line.release
      throw line.error
    }
    const prepared = flight(key, { signal: ended.signal }, async (running) => {
      const remember = (result: Pick<Line, 'release' | 'error'>): void =>
        void bounded(lines, keptReleases).set(key, { repository, tag, generation, ...result })
      try {
        const made = await runLine(formatReference({ repository, tag }), platforms, target, running)
        remember({ release: made })
        return made
      } catch (error) {
        if (isOtaError(error) && error.fault !== 'aborted') remember({ error })
        throw error
      }
    })
    prepared.catch(() => undefined)
    return within(prepared, times.prepareMs, signal, () => {
      throw fail('PREPARING', `${repository}:${tag} is being fetched and verified; ask again`)
    })
  }

  function pinned(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Release | Promise<Release> {
    throwIfAborted(signal)
    if (parseReference(reference).digest === undefined)
      throw fail('INVALID_REFERENCE', `expected a reference pinned by digest, found ${reference}`)
    const key = lineKey(reference, platforms, target)
    const known = pins.get(key)
    if (known !== undefined) return known
    const prepared = flight(key, { signal: ended.signal }, async (running) => {
      const made = await runLine(reference, platforms, target, running)
      bounded(pins, keptReleases).set(key, made)
      return made
    })
    prepared.catch(() => undefined)
    return within(prepared, times.prepareMs, signal, () => {
      throw fail('PREPARING', `${reference} is being fetched and verified; ask again`)
    })
  }

  async function runLine(reference: string, platforms: readonly Platform[], target: Target, running: AbortSignal): Promise<Release> {
    const signal = AbortSignal.any([running, AbortSignal.timeout(times.releaseMs)])
    const progress = (done: number, total: number): void =>
      events.emit({ type: 'progress', at: clock(), stage: 'fetch', reference, done, total })
    const context: RunContext = { signal, now: clock() }
    const all: ReleaseDeps = { ...deps, target }
    let version: string | undefined
    const room = async <T>(stage: Stage, work: () => Promise<T>): Promise<T> => {
      const tell = (status: 'passed' | 'failed', because: readonly Reason[]): void =>
        events.emit({ type: 'release', at: clock(), stage, status, reference, ...(version === undefined ? {} : { version }), because })
      try {
        const proof = await work()
        tell('passed', [])
        return proof
      } catch (error) {
        if (isOtaError(error)) tell('failed', error.because)
        throw error
      }
    }
    const resolved = await room('resolve', () => resolve(reference, platforms, all, context))
    const verified = await room('verify', () => verify(resolved, all, context))
    version = verified.version
    const held = await room('fetch', () => fetch(verified, all, { ...context, progress }))
    return room('inspect', () => inspect(held, all, context))
  }

  return { versions, release, pinned, close: () => ended.abort() }
}

/** Candidates looked at per check-in: enough for a path of floors, too few for a flood of junk tags to keep a server busy. */
export const candidateLimit = 16

const maxBackoffMs = 30_000

function lineKey(reference: string, platforms: readonly Platform[], target: Target): string {
  return `${target.name}\n${platforms.map(formatPlatform).join(',')}\n${reference}`
}

/** Drops the oldest entry of a map that is full. */
function bounded<V>(map: Map<string, V>, limit: number): Map<string, V> {
  if (map.size >= limit) map.delete(map.keys().next().value as string)
  return map
}

function unanswered(repository: string, waitedMs: number): OtaError {
  return fail('REGISTRY_SILENT', `${repository}: expected the registry to answer within ${waitedMs} ms`)
}

/** The promise's value, or that of `late` after `waitMs`; the work itself goes on. */
function within<T>(promise: Promise<T>, waitMs: number, signal: AbortSignal, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(late), waitMs)
    const leave = (): void =>
      settle(() => {
        throw aborted(signal)
      })
    const settle = (value: () => T): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      try {
        resolve(value())
      } catch (error) {
        reject(error as Error)
      }
    }
    signal.addEventListener('abort', leave, { once: true })
    promise.then(
      (value) => settle(() => value),
      (error: unknown) =>
        settle(() => {
          throw error
        }),
    )
  })
}
