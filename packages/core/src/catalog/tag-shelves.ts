import { throwIfAborted } from '../content/abort.ts'
import type { Descriptor } from '../content/descriptor.ts'
import { formatReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError } from '../errors.ts'
import type { Registry } from '../plugin/registry.ts'
import { type EligibleTag, eligibleTags, tagLimit } from '../policy/version.ts'
import type { CatalogTimes } from './catalog-times.ts'
import { type RecentlyUsed, recentlyUsed } from './recently-used.ts'
import { limited, within } from './time-limit.ts'

/** The versions of one repository, highest first, at one moment. */
export interface Snapshot {
  /** Milliseconds since 1970, when the tags were listed. */
  readonly at: number
  readonly tags: readonly EligibleTag[]
}

/** A snapshot with what was found behind its tags: that lives as long as the snapshot, and is asked again for the next one. */
export interface ShelvedSnapshot extends Snapshot {
  readonly roots: Map<string, Descriptor>
  readonly refused: RecentlyUsed<OtaError>
}

export interface TagShelves {
  /** The eligible versions; at once where they are fresh. @throws what the registry throws, remembered for a while; `REGISTRY_SILENT` */
  versions(repository: string, signal: AbortSignal): Snapshot | Promise<Snapshot>
  /** The newest snapshot, however old. */
  latest(repository: string): ShelvedSnapshot | undefined
}

interface Shelf {
  snapshot: ShelvedSnapshot | undefined
  /** What the snapshot was made from, so that an unchanged list is not read again. */
  listed: readonly string[]
  /** No new attempt before this, after a failure. */
  retryAt: number
  failures: number
  /** What the last attempt failed with: served until `retryAt` where nothing else is known. */
  error: OtaError | undefined
  refreshing: { readonly promise: Promise<Snapshot>; readonly since: number } | undefined
}

/** Candidates looked at per check-in: enough for a path of floors, too few for a flood of junk tags to keep a server busy. */
export const candidateLimit = 16
/** Repositories kept in memory, each a list of tags. As many again are kept that have none, so that made-up names push out no real one. */
const keptRepositories = 10_000
/** Refused releases per snapshot: candidates times platforms, with room. */
const keptRefusals = 1_024
/** Repositories asked for tags at once; the rest is served what is known. A template with `{device}` has as many as devices. */
const refreshesAtOnce = 256
/** The longest pause between two attempts at a registry that is down. */
const maxBackoffMs = 30_000

/** Lists each repository's tags at most every few seconds, whatever the number of devices, and serves what is known meanwhile. */
export function createTagShelves(options: {
  readonly registry: Registry
  readonly channel: string
  readonly times: CatalogTimes
  readonly clock: () => Date
  /** Fires when the catalog is closed. */
  readonly ended: AbortSignal
  /** Told of all that runs, so that closing can wait for it. */
  readonly track: <T>(work: Promise<T>) => Promise<T>
}): TagShelves {
  const { times, clock, ended, track } = options
  const known = recentlyUsed<Shelf>(keptRepositories)
  const unknown = recentlyUsed<Shelf>(keptRepositories)
  let refreshes = 0

  function shelfOf(repository: string): Shelf {
    const found = known.get(repository) ?? unknown.get(repository)
    if (found !== undefined) return found
    const shelf: Shelf = { snapshot: undefined, listed: [], retryAt: 0, failures: 0, error: undefined, refreshing: undefined }
    unknown.set(repository, shelf)
    return shelf
  }

  function versions(repository: string, signal: AbortSignal): Snapshot | Promise<Snapshot> {
    throwIfAborted(signal)
    throwIfAborted(ended)
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
    if (shelf.refreshing === undefined && refreshes >= refreshesAtOnce) {
      if (snapshot !== undefined) return snapshot
      throw fail(
        'REGISTRY_SILENT',
        `${repository}: expected at most ${refreshesAtOnce} repositories to be asked at once, found more; ask again`,
      )
    }
    shelf.refreshing ??= refresh(repository, shelf)
    const { promise, since } = shelf.refreshing
    if (snapshot === undefined) return within(promise, times.prepareMs, signal, () => raise(unanswered(repository, times.prepareMs)))
    promise.catch(() => undefined)
    // Whoever comes while a registry keeps silent does not begin to wait anew.
    const leftMs = since + times.waitMs - performance.now()
    if ((age >= 0 && age < times.staleMs) || leftMs <= 0) return snapshot
    return within(promise, leftMs, signal, () => snapshot).catch((error: unknown) => {
      if (shelf.snapshot === undefined || (isOtaError(error) && error.fault === 'aborted')) throw error
      return shelf.snapshot
    })
  }

  function refresh(repository: string, shelf: Shelf): NonNullable<Shelf['refreshing']> {
    refreshes += 1
    const late = (): Error => unanswered(repository, times.prepareMs)
    const work = limited((signal) => nextSnapshot(repository, shelf, signal), { signal: ended, limitMs: times.prepareMs, late })
    const promise = work.then((next) => shelve(repository, shelf, next)).catch((error: unknown) => refused(repository, shelf, error))
    const done = promise.finally(() => {
      refreshes -= 1
      shelf.refreshing = undefined
    })
    return { promise: track(done), since: performance.now() }
  }

  async function nextSnapshot(repository: string, shelf: Shelf, signal: AbortSignal): Promise<ShelvedSnapshot> {
    const { registry, channel } = options
    const listed = await listTags(registry, repository, signal)
    const same = shelf.snapshot !== undefined && listed.length === shelf.listed.length && listed.every((tag, i) => tag === shelf.listed[i])
    const tags = same && shelf.snapshot !== undefined ? shelf.snapshot.tags : eligibleTags(listed, { channel })
    const at = clock().getTime()
    shelf.listed = listed
    // What devices were offered is asked for now, so that no check-in waits for it. What fails is asked again, and told, by who needs it.
    const roots = new Map<string, Descriptor>()
    const wanted = tags.slice(0, candidateLimit).filter(({ tag }) => shelf.snapshot?.roots.has(tag) === true)
    await Promise.allSettled(
      wanted.map(async ({ tag }) => roots.set(tag, await registry.resolve(formatReference({ repository, tag }), { signal }))),
    )
    return { at, tags, roots, refused: recentlyUsed(keptRefusals) }
  }

  function shelve(repository: string, shelf: Shelf, next: ShelvedSnapshot): Snapshot {
    Object.assign(shelf, { snapshot: next, failures: 0, retryAt: 0, error: undefined })
    unknown.delete(repository)
    known.set(repository, shelf)
    return next
  }

  function refused(repository: string, shelf: Shelf, error: unknown): never {
    const told = isOtaError(error)
      ? error
      : fail('BROKEN_PLUGIN', `registry ${options.registry.name}: expected it to list tags or an OtaError, found that it broke`, {
          cause: error,
        })
    shelf.failures += 1
    shelf.retryAt = clock().getTime() + Math.min(maxBackoffMs, 500 * 2 ** Math.min(shelf.failures, 10))
    shelf.error = told.fault === 'aborted' ? undefined : told
    // The registry has answered: there is no such repository any more, and what was in it was taken back.
    if (told.code === 'NOT_FOUND') {
      shelf.snapshot = undefined
      known.delete(repository)
      unknown.set(repository, shelf)
    }
    throw told
  }

  return { versions, latest: (repository) => known.get(repository)?.snapshot }
}

async function listTags(registry: Registry, repository: string, signal: AbortSignal): Promise<readonly string[]> {
  if (registry.tags === undefined) {
    throw fail('TAGS_UNSUPPORTED', `registry ${registry.name} cannot list tags: use one that can, or push a reference by hand`)
  }
  const tags: string[] = []
  for await (const tag of registry.tags(repository, { signal })) {
    tags.push(tag)
    // One more than there may be: eligibleTags says so.
    if (tags.length > tagLimit) break
  }
  return tags
}

function unanswered(repository: string, waitedMs: number): OtaError {
  return fail('REGISTRY_SILENT', `${repository}: expected the registry to answer within ${waitedMs} ms`)
}

function raise(error: Error): never {
  throw error
}
