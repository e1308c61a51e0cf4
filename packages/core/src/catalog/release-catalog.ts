import { throwIfAborted } from '../content/abort.ts'
import type { Descriptor, Platform } from '../content/descriptor.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { singleFlight } from '../content/single-flight.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Events } from '../events.ts'
import type { Target } from '../plugin/target.ts'
import type { Release, ReleaseDeps } from '../update/release-line.ts'
import type { CatalogTimes } from './catalog-times.ts'
import { createReleaseLines, lineKey } from './release-lines.ts'
import type { Answers } from './remembering-registry.ts'
import { createTagShelves, type ShelvedSnapshot, type Snapshot } from './tag-shelves.ts'
import { within } from './time-limit.ts'

/** Which releases a repository has now, each verified once. */
export interface ReleaseCatalog {
  /** The eligible versions; at once where they are fresh. @throws what the registry throws; `REGISTRY_SILENT` */
  versions(repository: string, signal: AbortSignal): Snapshot | Promise<Snapshot>
  /**
   * The release behind a tag of the newest snapshot; at once where it is known.
   * @throws what the rooms throw, remembered until the next snapshot; `PREPARING` after `waitMs`
   */
  release(
    repository: string,
    tag: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
    waitMs?: number,
  ): Release | Promise<Release>
  /** The release behind a tag at this moment: the registry is asked. @throws what the rooms throw; `PREPARING` */
  tagged(repository: string, tag: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Promise<Release>
  /** The release of a reference pinned by digest, once and for all. @throws what the rooms throw; `RELEASE_UNREACHABLE`; `PREPARING` */
  pinned(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Release | Promise<Release>
  /** Ends all that runs, and waits for it, but no longer than five seconds. */
  close(): Promise<void>
}

/** Lines at once: each may hold a connection and fill the cache, and a device that makes up models can ask for many. */
const linesAtOnce = 32
/** A plugin that does not heed its signal is not waited for longer. */
const closeMs = 5_000

export function createReleaseCatalog(options: {
  readonly deps: Omit<ReleaseDeps, 'target'>
  readonly channel: string
  readonly times: CatalogTimes
  readonly clock: () => Date
  readonly events: Events
  readonly onVerified?: (repository: string, root: Descriptor, answers: Answers) => Promise<void>
  readonly kept?: (repository: string, digest: string) => Promise<Answers | undefined>
}): ReleaseCatalog {
  const { deps, channel, times, clock, events, onVerified = async () => {}, kept = async () => undefined } = options
  const ended = new AbortController()
  const works = new Set<Promise<unknown>>()
  const track = <T>(work: Promise<T>): Promise<T> => {
    const forget = (): void => void works.delete(work)
    works.add(work)
    work.then(forget, forget)
    return work
  }
  const shelves = createTagShelves({ registry: deps.registry, channel, times, clock, ended: ended.signal, track })
  const lines = createReleaseLines({ deps, releaseMs: times.releaseMs, clock, events, onVerified, kept })
  const flight = singleFlight<Release>()
  let running = 0

  /** Shares the work of one key among all who ask, for whom it goes on even if all of them leave. */
  function prepare(
    key: string,
    reference: string,
    signal: AbortSignal,
    waitMs: number,
    work: (signal: AbortSignal) => Promise<Release>,
  ): Promise<Release> {
    const preparing = (): never => {
      throw fail('PREPARING', `${reference} is being fetched and verified; ask again`)
    }
    const prepared = flight(key, { signal: ended.signal }, async (shared) => {
      if (running >= linesAtOnce) preparing()
      running += 1
      try {
        return await work(shared)
      } finally {
        running -= 1
      }
    })
    track(prepared)
    return within(prepared, waitMs, signal, preparing)
  }

  async function behind(
    repository: string,
    tag: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
    snapshot?: ShelvedSnapshot,
  ): Promise<Release> {
    const root = snapshot?.roots.get(tag) ?? (await deps.registry.resolve(formatReference({ repository, tag }), { signal }))
    const made = await lines.through(formatReference({ repository, tag, digest: root.digest }), root, platforms, target, signal)
    snapshot?.roots.set(tag, root)
    return made
  }

  function release(
    repository: string,
    tag: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
    waitMs = times.prepareMs,
  ): Release | Promise<Release> {
    throwIfAborted(signal)
    throwIfAborted(ended.signal)
    const snapshot = shelves.latest(repository)
    const root = snapshot?.roots.get(tag)
    const known = root === undefined ? undefined : lines.known(formatReference({ repository, tag, digest: root.digest }), platforms, target)
    if (known !== undefined) return known
    const reference = formatReference({ repository, tag })
    const key = lineKey(reference, platforms, target)
    const error = snapshot?.refused.get(key)
    if (error !== undefined) throw error
    return prepare(key, reference, signal, waitMs, (shared) =>
      behind(repository, tag, platforms, target, shared, snapshot).catch((refusal: unknown) => {
        if (isOtaError(refusal) && refusal.fault !== 'aborted') snapshot?.refused.set(key, refusal)
        throw refusal
      }),
    )
  }

  async function tagged(
    repository: string,
    tag: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
  ): Promise<Release> {
    throwIfAborted(signal)
    throwIfAborted(ended.signal)
    const reference = formatReference({ repository, tag })
    const key = `now ${lineKey(reference, platforms, target)}`
    return prepare(key, reference, signal, times.releaseMs, (shared) => behind(repository, tag, platforms, target, shared))
  }

  function pinned(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Release | Promise<Release> {
    throwIfAborted(signal)
    throwIfAborted(ended.signal)
    if (parseReference(reference).digest === undefined)
      throw fail('INVALID_REFERENCE', `expected a reference pinned by digest, found ${reference}`)
    const known = lines.known(reference, platforms, target)
    if (known !== undefined) return known
    const key = lineKey(reference, platforms, target)
    return prepare(key, reference, signal, times.prepareMs, (shared) => lines.again(reference, platforms, target, shared))
  }

  async function close(): Promise<void> {
    ended.abort()
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, closeMs)
    })
    await Promise.race([Promise.allSettled(works), patience])
    clearTimeout(timer)
  }

  return { versions: shelves.versions, release, tagged, pinned, close }
}
