import type { Descriptor, Platform } from '../content/descriptor.ts'
import { formatPlatform, parsePlatform } from '../content/platform.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError, type Reason, type Stage } from '../errors.ts'
import type { Events } from '../events.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { Target } from '../plugin/target.ts'
import { fetch } from '../update/fetch.ts'
import { inspect } from '../update/inspect.ts'
import type { Release, ReleaseDeps } from '../update/release-line.ts'
import { resolve } from '../update/resolve.ts'
import { verify } from '../update/verify.ts'
import { recentlyUsed } from './recently-used.ts'
import type { Answers } from './remembering-registry.ts'
import { limited } from './time-limit.ts'

/** Takes releases through the whole line, and keeps what came out of it. */
export interface ReleaseLines {
  /** The release of a reference with a digest, and a tag which its version must agree with, if that has been through the line. */
  known(reference: string, platforms: readonly Platform[], target: Target): Release | undefined
  /** The same through the line, where it has not been. `root` is what the registry has just said of it. */
  through(
    reference: string,
    root: Descriptor | undefined,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
  ): Promise<Release>
  /**
   * The same for a reference pinned by digest. What was verified before is verified again by what lies here: the registry is asked for what
   * is missing alone, and for newer signatures where those do not pass any more.
   * @throws `RELEASE_UNREACHABLE` (unavailable) where it hands out something else than what is missing
   */
  again(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Promise<Release>
}

/** Releases kept in memory, each under its tag and its digest: one entry is small, its image lies in the cache. */
const keptReleases = 8_192

export function createReleaseLines(options: {
  readonly deps: Omit<ReleaseDeps, 'target'>
  readonly releaseMs: number
  readonly clock: () => Date
  readonly events: Events
  /** Told of each root that was verified, and of what tags pointed at meanwhile. */
  readonly onVerified: (repository: string, root: Descriptor, answers: Answers) => Promise<void>
  /** What `onVerified` was told last. */
  readonly kept: (repository: string, digest: string) => Promise<Answers | undefined>
}): ReleaseLines {
  const { releaseMs, onVerified, kept } = options
  // A release is proven for its tag, platforms and target alone; what a digest stands for never changes.
  const releases = recentlyUsed<Release>(keptReleases)

  async function through(
    reference: string,
    root: Descriptor | undefined,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
    deps = options.deps,
  ): Promise<Release> {
    const key = lineKey(reference, platforms, target)
    const known = releases.get(key)
    if (known !== undefined) return known
    const late = (): Error => fail('REGISTRY_SILENT', `${reference}: expected it to be fetched and verified within ${releaseMs} ms`)
    const answers = new Map<string, Descriptor>()
    const run = (running: AbortSignal): Promise<Release> =>
      rooms(reference, platforms, target, running, notingAnswers(deps, reference, root, answers))
    const made = await limited(run, { signal, limitMs: releaseMs, late })
    const { resolved } = made.held.verified
    releases.set(key, made)
    // Who asks by digest alone gets what was verified for a tag too; never the other way round.
    releases.set(lineKey(resolved.reference, platforms, target), made)
    await onVerified(resolved.repository, resolved.root, answers)
    return made
  }

  async function again(reference: string, platforms: readonly Platform[], target: Target, signal: AbortSignal): Promise<Release> {
    const { repository, digest } = parseReference(reference)
    const answers = digest === undefined ? undefined : await kept(repository, digest)
    if (answers === undefined) return through(reference, undefined, platforms, target, signal)
    const { deps, undelivered } = recalling(options.deps, answers)
    try {
      return await through(reference, undefined, platforms, target, signal, deps)
    } catch (error) {
      if (!isOtaError(error) || (error.fault !== 'rejected' && error.fault !== 'invalid')) throw error
      if (!undelivered()) return through(reference, undefined, platforms, target, signal)
      const message = `${reference}: expected the content that was verified before, found something else in its place: ${error.message}`
      throw fail('RELEASE_UNREACHABLE', message, { because: error.because })
    }
  }

  async function rooms(
    reference: string,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
    deps: Omit<ReleaseDeps, 'target'>,
  ): Promise<Release> {
    const { clock, events } = options
    const context: RunContext = { signal, now: clock() }
    const all: ReleaseDeps = { ...deps, target }
    const shown = shownReference(reference)
    let version: string | undefined
    const room = async <T>(stage: Stage, work: () => Promise<T>): Promise<T> => {
      const tell = (status: 'passed' | 'failed', because: readonly Reason[]): void =>
        events.emit({
          type: 'release',
          at: clock(),
          stage,
          status,
          reference: shown,
          ...(version === undefined ? {} : { version }),
          because,
        })
      try {
        const proof = await work()
        tell('passed', [])
        return proof
      } catch (thrown) {
        const error = otaErrorOf(thrown, stage, reference)
        tell('failed', error.because)
        throw error
      }
    }
    const resolved = await room('resolve', () => resolve(reference, platforms, all, context))
    const verified = await room('verify', () => verify(resolved, all, context))
    version = verified.version
    const progress = (done: number, total: number): void =>
      events.emit({ type: 'progress', at: clock(), stage: 'fetch', reference: shown, done, total })
    const held = await room('fetch', () => fetch(verified, all, { ...context, progress }))
    return room('inspect', () => inspect(held, all, context))
  }

  return {
    known: (reference, platforms, target) => releases.get(lineKey(reference, platforms, target)),
    through: (reference, root, platforms, target, signal) => through(reference, root, platforms, target, signal),
    again,
  }
}

type LineDeps = Omit<ReleaseDeps, 'target'>

/** Notes what tags point at. What the registry was asked a moment ago is pinned from there on. */
function notingAnswers(deps: LineDeps, reference: string, root: Descriptor | undefined, answers: Map<string, Descriptor>): LineDeps {
  const { registry } = deps
  return {
    ...deps,
    registry: {
      ...registry,
      async resolve(text, o) {
        if (text === reference && root !== undefined) return root
        const found = await registry.resolve(text, o)
        if (parseReference(text).digest === undefined) answers.set(text, found)
        return found
      },
    },
  }
}

/** Lets tags point where they did, and notes whether content that is asked for comes as something else. */
function recalling(deps: LineDeps, answers: Answers): { readonly deps: LineDeps; undelivered(): boolean } {
  const { registry, cache } = deps
  let undelivered = false
  return {
    undelivered: () => undelivered,
    deps: {
      ...deps,
      registry: { ...registry, resolve: async (text, o) => answers.get(text) ?? registry.resolve(text, o) },
      cache: {
        ...cache,
        hold: (...call) =>
          cache.hold(...call).catch((error: unknown) => {
            // Whoever takes a release back deletes it: that is an answer, and not something else in its place.
            const isOther = isOtaError(error) && (error.fault === 'rejected' || error.fault === 'invalid') && error.code !== 'NOT_FOUND'
            undelivered ||= isOther
            throw error
          }),
      },
    },
  }
}

/**
 * Names one walk through the line, so that no two share a name.
 * @throws `INVALID_PLATFORM` where a target made a platform of what a device said, and nobody could read it back
 */
export function lineKey(reference: string, platforms: readonly Platform[], target: Target): string {
  const names = platforms.map(formatPlatform)
  for (const name of names) parsePlatform(name)
  return JSON.stringify([target.name, names, reference])
}

// People know releases by their tags.
function shownReference(reference: string): string {
  const { repository, tag } = parseReference(reference)
  return tag === undefined ? reference : formatReference({ repository, tag })
}

// One artifact that makes a plugin break must not look like a fault of the server to every device that is offered it.
function otaErrorOf(error: unknown, stage: Stage, reference: string): OtaError {
  if (isOtaError(error)) return error
  return fail('BROKEN_PLUGIN', `${reference}: expected an OtaError where something fails, found that a plugin of "${stage}" broke`, {
    stage,
    cause: error,
  })
}
