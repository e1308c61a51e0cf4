import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { Composition } from '../composition.ts'
import type { Digest } from '../content/digest.ts'
import { formatReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import { loadRecord } from '../journey/record-store.ts'
import { checkPrincipal } from '../journey/reported-state.ts'
import { openDeploymentLimit } from '../plugin/fleet-rules.ts'
import type {
  AuditEntry,
  Deployment,
  DeploymentProgress,
  FleetDevice,
  FleetRelease,
  FleetStore,
  Page,
  Selector,
} from '../plugin/fleet-store.ts'
import type { CallOptions } from '../plugin/plugin.ts'
import { eligibleTags, parseVersion } from '../policy/version.ts'
import { quoted } from '../update/quoted.ts'
import { bucketOf, startOf } from './cohort.ts'
import { abortedFor, deploymentIntent, type NewDeployment, paused, readLabels, readSelector, resumed } from './deployment.ts'
import { type Explanation, explain, waitsFor } from './explain.ts'
import { createTicker, type Ticker, type TickerOptions } from './ticker.ts'

/** Who asks, for the audit record. */
export interface Asked extends CallOptions {
  readonly by: string
}

/** Rolls releases out to a fleet: what an operator asks, and the ticker that carries it on. */
export interface Rollout {
  /**
   * Makes a deployment; its first wave begins with the next tick.
   * @throws `INVALID_DEPLOYMENT`, `INVALID_VERSION`, `NOT_FOUND`, `PROOF_UNSUPPORTED`, `FLEET_CONFLICT`, `FLEET_FULL`, and what registry and store throw
   */
  create(asked: NewDeployment, options: Asked): Promise<Deployment>
  /** @throws `UNKNOWN_DEPLOYMENT` */
  show(id: string, options?: CallOptions): Promise<Deployment>
  /** What a running deployment waits for, with the devices that may still come counted now; empty where the next tick moves it. @throws `UNKNOWN_DEPLOYMENT` */
  waits(id: string, options?: CallOptions): Promise<readonly Reason[]>
  /** The youngest first, those that have ended included. */
  list(options?: CallOptions): Promise<readonly Deployment[]>
  /** What is not downloading yet is held back until `resume`. @throws `UNKNOWN_DEPLOYMENT`, `DEPLOYMENT_STATE` */
  pause(id: string, options: Asked): Promise<Deployment>
  /** Goes on in the same wave; failures so far do not pause it again. @throws `UNKNOWN_DEPLOYMENT`, `DEPLOYMENT_STATE` */
  resume(id: string, options: Asked): Promise<Deployment>
  /** Takes back what is not downloading yet, for good. @throws `UNKNOWN_DEPLOYMENT`, `DEPLOYMENT_STATE` */
  abort(id: string, options: Asked): Promise<Deployment>
  devices(query: Page & { readonly selector?: Selector }, options?: CallOptions): Promise<readonly FleetDevice[]>
  /** Replaces the labels of a device, which need not have checked in yet. @throws `INVALID_LABELS`, `INVALID_STATE` */
  label(deviceId: string, labels: Readonly<Record<string, string>>, options: Asked): Promise<FleetDevice>
  /** @throws `UNKNOWN_DEVICE` */
  explain(deviceId: string, options?: CallOptions): Promise<Explanation>
  /** Who did what, the newest first. */
  audit(query: { readonly subject?: string; readonly limit: number }, options?: CallOptions): Promise<readonly AuditEntry[]>
  ticker(options?: Partial<TickerOptions>): Ticker
}

/** Operators who change one deployment or device at once are few. */
const rounds = 8

/**
 * Makes the rollout of a composition that has a fleet store.
 * @throws `INVALID_COMPOSITION`
 * @example
 * const rollout = createRollout(gateway.composition)
 * await rollout.create({ id: 'lamp-1.1.0', version: '1.1.0', selector: { site: ['berlin'] }, waves: [10, 100] }, { by: 'ann' })
 * void rollout.ticker().run(signal)
 */
export function createRollout(composition: Composition): Rollout {
  const { options, clock, journal, policy } = composition
  const fleet = options.fleet
  if (fleet === undefined) throw fail('INVALID_COMPOSITION', 'fleet: expected a fleet store in the composition, found none')
  const store: FleetStore = fleet

  const audit = (action: string, subject: string, by: string): AuditEntry => ({
    at: clock().toISOString(),
    by: by.slice(0, 128),
    action,
    subject,
    because: [],
  })

  async function show(id: string, o: CallOptions = {}): Promise<Deployment> {
    const deployment = await store.deployment(id, o)
    if (deployment === undefined) throw fail('UNKNOWN_DEPLOYMENT', `expected a deployment ${quoted(id)}, found none`)
    return deployment
  }

  /** Reads, decides and writes until nobody was faster. */
  async function move(
    id: string,
    action: string,
    to: (deployment: Deployment) => DeploymentProgress,
    { by, ...o }: Asked,
  ): Promise<Deployment> {
    for (let round = 1; ; round++) {
      const deployment = await show(id, o)
      try {
        await store.changeDeployment(id, to(deployment), { ifVersion: deployment.version, audit: audit(action, id, by), ...o })
        return await show(id, o)
      } catch (error) {
        if (!isOtaError(error) || error.code !== 'FLEET_CONFLICT' || round === rounds) throw error
      }
    }
  }

  const asked = (what: string, { by }: Asked) => [{ code: 'ASKED', message: `${by.slice(0, 128)} has ${what} it` }]

  return Object.freeze<Rollout>({
    async create(wanted, { by, ...o }) {
      const version = parseVersion(String(wanted.version))
      if (version === undefined) throw fail('INVALID_VERSION', `version: expected semver such as 1.2.0, found ${quoted(wanted.version)}`)
      if (eligibleTags([version.replace('+', '_')], policy).length === 0)
        throw fail('INVALID_DEPLOYMENT', `version: expected one of channel ${quoted(policy.channel)}, found ${quoted(version)}`)
      const taken = await store.deployment(String(wanted.id), o)
      if (taken !== undefined) throw fail('INVALID_DEPLOYMENT', `id: expected a new one, found ${quoted(wanted.id)}, which is taken`)
      const digest = await digestOf(composition, version, o)
      const id = `${options.repository}:${version}${digest === undefined ? '' : `@${digest}`}`
      const release: FleetRelease = { id, repository: options.repository, version, ...(digest === undefined ? {} : { digest }) }
      const intent = deploymentIntent(wanted, release, clock())
      if (intent.proof) expectProof(composition)
      return store.createDeployment(intent, { audit: audit('create', intent.id, by), ...o })
    },
    show,
    async waits(id, o = {}) {
      const deployment = await show(id, o)
      if (deployment.state !== 'running') return []
      if (deployment.wave === 0) {
        const { members } = await store.cohort(deployment.selector, startOf(id), 100, o)
        const message = 'no device that has checked in, or was given labels, matches the selector; the first wave begins with the first one'
        return members === 0 ? [{ code: 'NOBODY_SELECTED', message }] : []
      }
      return waitsFor(deployment, await store.awaited(id, { start: startOf(id), bound: deployment.bound }, o), clock())
    },
    list: (o = {}) => store.deployments({ limit: openDeploymentLimit }, o),
    pause: (id, o) => move(id, 'pause', (deployment) => paused(deployment, asked('paused', o)), o),
    resume: (id, o) => move(id, 'resume', (deployment) => resumed(deployment, asked('resumed', o)), o),
    abort: (id, o) => move(id, 'abort', (deployment) => abortedFor(deployment, asked('aborted', o)), o),
    devices: async ({ selector, ...page }, o = {}) =>
      store.devices({ ...page, ...(selector === undefined ? {} : { selector: readSelector(selector) }) }, o),
    async label(deviceId, given, { by, ...o }) {
      checkPrincipal({ deviceId })
      const labels = readLabels(given)
      for (let round = 1; ; round++) {
        const { version = null, ...known } = (await store.device(deviceId, o)) ?? { id: deviceId, bucket: bucketOf(deviceId) }
        const device = { ...known, labels }
        try {
          const next = await store.putDevice(device, { ifVersion: version, audit: audit('label', deviceId, by), ...o })
          return { ...device, version: next }
        } catch (error) {
          if (!isOtaError(error) || error.code !== 'FLEET_CONFLICT' || round === rounds) throw error
        }
      }
    },
    async explain(deviceId, o = {}) {
      checkPrincipal({ deviceId })
      const device = await store.device(deviceId, o)
      if (device === undefined) throw fail('UNKNOWN_DEVICE', `expected a device ${deviceId}, found none that has ever checked in`)
      const open = await store.deployments({ open: true, limit: openDeploymentLimit }, o)
      const { record } = await loadRecord(journal, deviceId, o.signal)
      const { deployment } = explain(device, open, undefined, undefined)
      const update = deployment === undefined ? undefined : await store.update(deployment, deviceId, o)
      return explain(device, open, update, record.open)
    },
    audit: (query, o = {}) => store.audit(query, o),
    ticker: ({ holder = `${hostname()}/${randomBytes(8).toString('hex')}`, ...rest } = {}) =>
      createTicker(store, composition, { holder, ...rest }),
  })
}

/**
 * What the version's tag points at now, where one repository serves all: what is rolled out cannot be changed by moving the tag. Undefined where
 * each device or model has a repository of its own; there the signed version alone counts.
 */
async function digestOf({ options }: Composition, version: string, o: CallOptions): Promise<Digest | undefined> {
  const { repository, registry } = options
  if (repository.includes('{')) return undefined
  const tag = version.replace('+', '_')
  for (const candidate of [tag, `v${tag}`]) {
    try {
      return (await registry.resolve(formatReference({ repository, tag: candidate }), o)).digest
    } catch (error) {
      if (!isOtaError(error) || error.code !== 'NOT_FOUND') throw error
    }
  }
  throw fail('NOT_FOUND', `${repository}: expected a tag ${tag} or v${tag}, found neither; push the release first`)
}

function expectProof({ attestation, targets }: Composition): void {
  const silent = targets.filter(({ measure }) => measure === undefined).map(({ name }) => name)
  if (attestation.some(({ mediaTypes }) => mediaTypes.length > 0) && silent.length === 0) return
  const found = silent.length > 0 ? `targets that cannot measure: ${silent.join(', ')}` : 'unattestedDevices()'
  throw fail('PROOF_UNSUPPORTED', `expected an evidence verifier and targets that measure, found ${found}`)
}
