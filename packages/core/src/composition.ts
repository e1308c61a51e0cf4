import { randomBytes } from 'node:crypto'
import { signedVersions } from './builtin/signed-versions.ts'
import { type CatalogTimes, catalogTimes } from './catalog/catalog-times.ts'
import { createReleaseCatalog, type ReleaseCatalog } from './catalog/release-catalog.ts'
import { rememberingRegistry } from './catalog/remembering-registry.ts'
import { checkOptions } from './check-options.ts'
import { isOtaError, type OtaError } from './errors.ts'
import { createEvents, type Events, type OtaEvent } from './events.ts'
import type { Authenticator } from './plugin/authenticator.ts'
import type { Cache } from './plugin/cache.ts'
import type { EvidenceVerifier } from './plugin/evidence-verifier.ts'
import type { FleetStore } from './plugin/fleet-store.ts'
import type { Journal } from './plugin/journal.ts'
import type { Plugin } from './plugin/plugin.ts'
import type { Registry } from './plugin/registry.ts'
import type { SignatureVerifier } from './plugin/signature-verifier.ts'
import type { Target } from './plugin/target.ts'
import type { Transport } from './plugin/transport.ts'
import type { VersionSource } from './plugin/version-source.ts'
import { defaultPolicy, type Policy } from './policy/policy.ts'
import { createMembers, type Members } from './rollout/members.ts'

/** What an update system is made of. What is not secure is a plugin of its own, never a flag. */
export interface ReflashOptions {
  /** Where releases come from: `host[:port]/repository` or `oci:<dir>`, in which `{device}` and `{model}` are filled in. No tag: tags are versions. */
  readonly repository: string
  readonly registry: Registry
  /** At least one; all must pass. `unsignedArtifacts()` to ask for no signature. */
  readonly verifiers: readonly SignatureVerifier[]
  /** At least one. */
  readonly targets: readonly Target[]
  /** At least one; `anonymousDevices()` to believe every device. */
  readonly authenticators: readonly Authenticator[]
  /** At least one; `unattestedDevices()` to ask for no evidence. */
  readonly attestation: readonly EvidenceVerifier[]
  readonly journal: Journal
  readonly cache: Cache
  /** With a fleet store, devices that pull get what deployments bring them, wave by wave, and nothing else. */
  readonly fleet?: FleetStore
  /** `signedVersions()` unless `trustTagVersions()`. */
  readonly versions?: VersionSource
  /** Ways to devices, where they belong to the composition: they are named in the audit record, and closed with it. */
  readonly transports?: readonly Transport[]
  /** The signed product to expect; absent, another product's signed release is accepted, and that is said at start-up. */
  readonly product?: string
  readonly policy?: Partial<Policy>
  readonly times?: Partial<CatalogTimes>
  /** Milliseconds between two check-ins of one device; a minute unless said. */
  readonly pollMs?: number
  /** Bytes; 256 MiB unless said, far above any firmware. A larger image is refused before a byte of it is fetched. */
  readonly imageLimitBytes?: number
  /** The wall clock. */
  readonly clock?: () => Date
  /** So many bytes that nobody can guess. */
  readonly random?: (bytes: number) => Uint8Array
  /** Hears every event, the `composed` one included. */
  readonly onEvent?: (event: OtaEvent) => void
}

/** A checked composition: what `createGateway` and `createEngine` share. */
export interface Composition {
  readonly options: ReflashOptions
  readonly policy: Policy
  readonly times: CatalogTimes
  readonly targets: readonly Target[]
  readonly attestation: readonly EvidenceVerifier[]
  readonly authenticators: readonly Authenticator[]
  readonly journal: Journal
  readonly catalog: ReleaseCatalog
  /** Takes devices through deployments; absent without a fleet store. */
  readonly members: Members | undefined
  readonly events: Events
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly pollMs: number
  /** What this composition leaves open, one sentence each. */
  readonly opens: readonly string[]
  /** How registry and cache answered last; absent where they have not been asked. */
  readonly seen: { registry?: OtaError | 'ok'; cache?: OtaError | 'ok' }
  /**
   * Ends everything that runs, then closes every plugin, the journal and the cache last; once, however often it is called.
   * @throws what a plugin throws, after all of them were closed
   */
  close(): Promise<void>
}

/**
 * Checks a composition; no I/O.
 * @throws `INVALID_COMPOSITION` naming every plugin that is missing
 * @example
 * const composition = compose({
 *   repository: 'registry.example/firmware/sensor',
 *   registry,
 *   verifiers: [unsignedArtifacts()],
 *   targets: [memoryTarget()],
 *   authenticators: [tokenDevices({ 'sensor-1': 'a token' })],
 *   attestation: [unattestedDevices()],
 *   journal: memoryJournal(),
 *   cache: memoryCache(),
 * })
 * for (const sentence of composition.opens) console.warn(sentence)
 */
export function compose(options: ReflashOptions): Composition {
  checkOptions(options)
  const { targets, attestation, authenticators, journal } = options
  const clock = options.clock ?? (() => new Date())
  const policy: Policy = Object.freeze({ ...defaultPolicy, ...options.policy })
  const times: CatalogTimes = Object.freeze({ ...catalogTimes, ...options.times })
  const events = createEvents()
  if (options.onEvent !== undefined) events.subscribe(options.onEvent)
  const seen: Composition['seen'] = {}
  const catalog = catalogOf(options, { policy, times, clock, events, seen })
  const plugins = pluginsOf(options)
  const opens = opensOf(plugins, options.product)
  events.emit({ type: 'composed', at: clock(), plugins: plugins.map(({ kind, name }) => ({ kind, name })), opens })
  return Object.freeze<Composition>({
    options,
    policy,
    times,
    targets,
    attestation,
    authenticators,
    journal,
    catalog,
    members: options.fleet === undefined ? undefined : createMembers(options.fleet, clock),
    events,
    clock,
    random: options.random ?? ((bytes) => new Uint8Array(randomBytes(bytes))),
    pollMs: options.pollMs ?? 60_000,
    opens,
    seen,
    close: closer(catalog, events, plugins),
  })
}

/** In the order in which they are closed: what others stand on last. */
function pluginsOf(options: ReflashOptions): readonly Plugin<string>[] {
  const {
    registry,
    verifiers,
    versions = defaultVersions,
    targets,
    attestation,
    authenticators,
    journal,
    cache,
    fleet,
    transports = [],
  } = options
  return [
    ...transports,
    registry,
    ...verifiers,
    versions,
    ...targets,
    ...attestation,
    ...authenticators,
    ...(fleet === undefined ? [] : [fleet]),
    journal,
    cache,
  ]
}

const defaultVersions = signedVersions()

interface Parts extends Pick<Composition, 'policy' | 'times' | 'clock' | 'events' | 'seen'> {}

function catalogOf(options: ReflashOptions, { policy, times, clock, events, seen }: Parts): ReleaseCatalog {
  const { journal, verifiers, versions = defaultVersions, product, imageLimitBytes = 256 * 1024 * 1024 } = options
  const registry = rememberingRegistry(options.registry, {
    journal,
    clock,
    answerMs: times.answerMs,
    told: (repository, outcome) => {
      const wasGood = seen.registry === undefined || seen.registry === 'ok'
      const isGood = outcome.is === 'ok'
      seen.registry = isGood ? 'ok' : outcome.error
      if (wasGood === isGood) return
      const because = isGood ? [] : outcome.error.because
      events.emit({ type: 'registry', at: clock(), status: isGood ? 'fresh' : 'stale', repository, because })
    },
  })
  const cache = watchedCache(options.cache, seen)
  return createReleaseCatalog({
    deps: { registry, cache, journal, verifiers, versions, product, imageLimitBytes },
    channel: policy.channel,
    times,
    clock,
    events,
    onVerified: registry.keep,
    kept: registry.kept,
  })
}

function closer(catalog: ReleaseCatalog, events: Events, plugins: readonly Plugin<string>[]): () => Promise<void> {
  let closing: Promise<void> | undefined
  const closeAll = async (): Promise<void> => {
    await catalog.close()
    events.close()
    const failures: unknown[] = []
    for (const plugin of new Set(plugins)) {
      try {
        await plugin.close?.()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
  return () => {
    closing ??= closeAll()
    return closing
  }
}

function opensOf(plugins: readonly Plugin<string>[], product: string | undefined): readonly string[] {
  const opens = plugins.flatMap(({ name, opens }) => (opens === undefined ? [] : [`${name}: ${opens}`]))
  return product === undefined ? [...opens, "product: none is expected: another product's signed release would be accepted"] : opens
}

function watchedCache(cache: Cache, seen: Composition['seen']): Cache {
  return Object.freeze<Cache>({
    ...cache,
    hold: async (descriptor, open, context) => {
      try {
        const held = await cache.hold(descriptor, open, context)
        seen.cache = 'ok'
        return held
      } catch (error) {
        if (isOtaError(error) && error.code.startsWith('CACHE_')) seen.cache = error
        throw error
      }
    },
  })
}
