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
}

/** Releases kept in memory, each under its tag and its digest: one entry is small, its image lies in the cache. */
const keptReleases = 8_192

export function createReleaseLines(options: {
  readonly deps: Omit<ReleaseDeps, 'target'>
  readonly releaseMs: number
  readonly clock: () => Date
  readonly events: Events
  /** Told of each root that was verified. */
  readonly onVerified: (repository: string, root: Descriptor) => Promise<void>
}): ReleaseLines {
  const { deps, releaseMs, onVerified } = options
  // A release is proven for its tag, platforms and target alone; what a digest stands for never changes.
  const releases = recentlyUsed<Release>(keptReleases)

  async function through(
    reference: string,
    root: Descriptor | undefined,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
  ): Promise<Release> {
    const key = lineKey(reference, platforms, target)
    const known = releases.get(key)
    if (known !== undefined) return known
    const late = (): Error => fail('REGISTRY_SILENT', `${reference}: expected it to be fetched and verified within ${releaseMs} ms`)
    const run = (running: AbortSignal): Promise<Release> => rooms(reference, root, platforms, target, running)
    const made = await limited(run, { signal, limitMs: releaseMs, late })
    const { resolved } = made.held.verified
    releases.set(key, made)
    // Who asks by digest alone gets what was verified for a tag too; never the other way round.
    releases.set(lineKey(resolved.reference, platforms, target), made)
    await onVerified(resolved.repository, resolved.root)
    return made
  }

  async function rooms(
    reference: string,
    root: Descriptor | undefined,
    platforms: readonly Platform[],
    target: Target,
    signal: AbortSignal,
  ): Promise<Release> {
    const { clock, events } = options
    const context: RunContext = { signal, now: clock() }
    const { registry } = deps
    // The registry was asked a moment ago what the tag points at: it is pinned from there on.
    const asked =
      root === undefined
        ? registry
        : { ...registry, resolve: async (text: string, o?: object) => (text === reference ? root : registry.resolve(text, o)) }
    const all: ReleaseDeps = { ...deps, registry: asked, target }
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

  return { known: (reference, platforms, target) => releases.get(lineKey(reference, platforms, target)), through }
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
