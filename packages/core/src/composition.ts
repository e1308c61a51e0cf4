import { randomBytes } from 'node:crypto'
import { signedVersions } from './builtin/signed-versions.ts'
import { type CatalogTimes, catalogTimes, createReleaseCatalog, type ReleaseCatalog } from './catalog/release-catalog.ts'
import { rememberingRegistry } from './catalog/remembering-registry.ts'
import { parseReference } from './content/reference.ts'
import { fail } from './core-errors.ts'
import type { OtaError } from './errors.ts'
import { createEvents, type Events, type OtaEvent } from './events.ts'
import type { Authenticator } from './plugin/authenticator.ts'
import type { Cache } from './plugin/cache.ts'
import type { EvidenceVerifier } from './plugin/evidence-verifier.ts'
import type { Journal } from './plugin/journal.ts'
import type { Plugin } from './plugin/plugin.ts'
import type { Registry } from './plugin/registry.ts'
import type { SignatureVerifier } from './plugin/signature-verifier.ts'
import type { Target } from './plugin/target.ts'
import type { VersionSource } from './plugin/version-source.ts'
import { defaultPolicy, type Policy } from './policy/policy.ts'

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
  /** `signedVersions()` unless `trustTagVersions()`. */
  readonly versions?: VersionSource
  /** The signed product to expect; absent, another product's signed release is accepted, and that is said at start-up. */
  readonly product?: string
  readonly policy?: Partial<Policy>
  readonly times?: Partial<CatalogTimes>
  /** Milliseconds between two check-ins of one device. */
  readonly pollMs?: number
  /** Bytes; 256 MiB unless said. A larger image is refused before a byte of it is fetched. */
  readonly imageLimitBytes?: number
  readonly clock?: () => Date
  readonly random?: (bytes: number) => Uint8Array
  readonly onEvent?: (event: OtaEvent) => void
}

/** A checked composition: what `createGateway` and `createEngine` share. */
export interface Composition {
  readonly options: ReflashOptions
  readonly policy: Policy
  readonly targets: readonly Target[]
  readonly attestation: readonly EvidenceVerifier[]
  readonly authenticators: readonly Authenticator[]
  readonly journal: Journal
  readonly catalog: ReleaseCatalog
  readonly events: Events
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly pollMs: number
  /** What this composition leaves open, one sentence each. */
  readonly opens: readonly string[]
  /** How registry and cache answered last; absent where they have not been asked. */
  readonly seen: { registry?: OtaError | 'ok'; cache?: OtaError | 'ok' }
  close(): Promise<void>
}

/**
 * Checks a composition; no I/O.
 * @throws `INVALID_COMPOSITION` naming every plugin that is missing
 */
export function compose(options: ReflashOptions): Composition {
  checkOptions(options)
  const clock = options.clock ?? (() => new Date())
  const policy: Policy = Object.freeze({ ...defaultPolicy, ...options.policy })
  const events = createEvents()
  if (options.onEvent !== undefined) events.subscribe(options.onEvent)
  const versions = options.versions ?? signedVersions()
  const seen: { registry?: OtaError | 'ok'; cache?: OtaError | 'ok' } = {}
  const registry = rememberingRegistry(options.registry, options.journal, clock, (repository, outcome) => {
    const before = seen.registry
    seen.registry = outcome.is === 'ok' ? 'ok' : outcome.error
    if ((before === undefined || before === 'ok') === (outcome.is === 'ok')) return
    const because = outcome.is === 'ok' ? [] : outcome.error.because
    events.emit({ type: 'registry', at: clock(), status: outcome.is === 'ok' ? 'fresh' : 'stale', repository, because })
  })
  const catalog = createReleaseCatalog({
    deps: {
      registry,
      cache: watchedCache(options.cache, seen),
      journal: options.journal,
      verifiers: options.verifiers,
      versions,
      product: options.product,
      imageLimitBytes: options.imageLimitBytes ?? 256 * 1024 * 1024,
    },
    channel: policy.channel,
    times: { ...catalogTimes, ...options.times },
    clock,
    events,
  })
  const plugins: readonly Plugin<string>[] = [
    options.registry,
    ...options.verifiers,
    versions,
    ...options.targets,
    ...options.attestation,
    ...options.authenticators,
    options.journal,
    options.cache,
  ]
  const opens = opensOf(plugins, options.product)
  events.emit({ type: 'composed', at: clock(), plugins: plugins.map(({ kind, name }) => ({ kind, name })), opens })
  const { targets, attestation, authenticators, journal } = options
  const close = async (): Promise<void> => {
    catalog.close()
    events.close()
    for (const plugin of new Set(plugins)) await plugin.close?.()
  }
  const random = options.random ?? ((bytes: number) => new Uint8Array(randomBytes(bytes)))
  return {
    options,
    policy,
    targets,
    attestation,
    authenticators,
    journal,
    catalog,
    events,
    clock,
    random,
    pollMs: options.pollMs ?? 60_000,
    opens,
    seen,
    close,
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
        if ((error as Partial<OtaError>).code?.startsWith('CACHE_') === true) seen.cache = error as OtaError
        throw error
      }
    },
  })
}

function checkOptions(options: ReflashOptions): void {
  const missing: string[] = []
  const some = (list: unknown, what: string): void => {
    if (!Array.isArray(list) || list.length === 0) missing.push(what)
  }
  some(options.verifiers, 'verifiers: at least one signature verifier, or unsignedArtifacts()')
  some(options.targets, 'targets: at least one target')
  some(options.authenticators, 'authenticators: at least one, or anonymousDevices()')
  some(options.attestation, 'attestation: at least one evidence verifier, or unattestedDevices()')
  for (const kind of ['registry', 'journal', 'cache'] as const) if (options[kind]?.kind !== kind) missing.push(`${kind}: a ${kind} plugin`)
  if (missing.length > 0) {
    throw fail('INVALID_COMPOSITION', `the composition lacks ${missing.join('; ')}`, {
      because: missing.map((message) => ({ code: 'INVALID_COMPOSITION', message })),
    })
  }
  const names = options.targets.map(({ name }) => name)
  if (new Set(names).size !== names.length)
    throw fail('INVALID_COMPOSITION', `expected targets of different names, found ${names.join(', ')}`)
  const { tag, digest } = parseReference(options.repository.replaceAll('{device}', 'device').replaceAll('{model}', 'model'))
  if (tag !== undefined || digest !== undefined) {
    throw fail(
      'INVALID_COMPOSITION',
      `repository: expected host[:port]/repository or oci:<dir> without tag or digest (tags are versions), found ${options.repository}`,
    )
  }
  if (
    options.policy?.attestation !== undefined &&
    options.policy.attestation !== 'none' &&
    options.attestation.every(({ mediaTypes }) => mediaTypes.length === 0)
  ) {
    throw fail(
      'INVALID_COMPOSITION',
      `policy: attestation "${options.policy.attestation}" needs an evidence verifier, found unattestedDevices()`,
    )
  }
}
