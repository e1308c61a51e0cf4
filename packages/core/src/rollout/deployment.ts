import { fail } from '../core-errors.ts'
import type { Reason } from '../errors.ts'
import type { Deployment, DeploymentIntent, DeploymentProgress, FleetRelease, Selector } from '../plugin/fleet-store.ts'
import { quoted } from '../update/quoted.ts'

/** What a deployment is asked for with. */
export interface NewDeployment {
  readonly id: string
  /** The version to bring to the devices. */
  readonly version: string
  /** All devices where absent. */
  readonly selector?: Selector
  /** Ascending percents, the last one 100; 10 and 100 where absent. */
  readonly waves?: readonly number[]
  /** Percent of a wave that must be confirmed before the next begins; 90 where absent. */
  readonly successPercent?: number
  /** Percent of a wave that, failed, pauses the deployment; 10 where absent. */
  readonly failurePercent?: number
  /** Milliseconds that a wave stays open at least; none where absent. */
  readonly waveMs?: number
  /** Count only what a device proves by evidence. */
  readonly proof?: boolean
}

/** More steps than anybody watches. */
const waveLimit = 20
const labelLimit = 16
const valueLimit = 64
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/
const valuePattern = /^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/
/** A month: a wave that shall stay open longer is better paused. */
const waveMsLimit = 31 * 86_400_000

/**
 * The intent of a new deployment, checked and frozen.
 * @throws `INVALID_DEPLOYMENT`
 */
export function deploymentIntent(asked: NewDeployment, release: FleetRelease, at: Date): DeploymentIntent {
  const { id, selector = {}, waves = [10, 100], successPercent = 90, failurePercent = 10, waveMs = 0, proof = false } = asked
  if (typeof id !== 'string' || !namePattern.test(id) || id.includes('/'))
    throw invalid('id: expected 1 to 63 letters, digits and . _ -', id)
  if (!Array.isArray(waves) || waves.length === 0 || waves.length > waveLimit || !waves.every(ascending) || waves.at(-1) !== 100)
    throw invalid(`waves: expected 1 to ${waveLimit} ascending percents, the last one 100`, JSON.stringify(waves)?.slice(0, 100))
  for (const [name, value] of Object.entries({ successPercent, failurePercent }))
    if (!isPercent(value)) throw invalid(`${name}: expected a percent above 0 and up to 100`, value)
  if (!Number.isInteger(waveMs) || waveMs < 0 || waveMs > waveMsLimit)
    throw invalid(`waveMs: expected whole milliseconds from 0 to ${waveMsLimit}`, waveMs)
  if (typeof proof !== 'boolean') throw invalid('proof: expected true or false', proof)
  return Object.freeze({
    id,
    at: at.toISOString(),
    release: Object.freeze({ ...release }),
    selector: readSelector(selector),
    waves: Object.freeze([...waves]),
    successPercent,
    failurePercent,
    waveMs,
    proof,
  })
}

/** @throws `INVALID_DEPLOYMENT` */
export function readSelector(selector: Selector): Selector {
  const expected = `selector: expected at most ${labelLimit} labels with 1 to ${valueLimit} values each`
  if (typeof selector !== 'object' || selector === null || Array.isArray(selector)) throw invalid(expected, typeof selector)
  const entries = Object.entries(selector)
  if (entries.length > labelLimit) throw invalid(expected, entries.length)
  return Object.freeze(
    Object.fromEntries(
      entries.map(([name, values]) => {
        if (!namePattern.test(name) || !Array.isArray(values) || values.length === 0 || values.length > valueLimit)
          throw invalid(expected, name)
        if (!values.every((value) => typeof value === 'string' && valuePattern.test(value))) throw invalid(expected, `values of ${name}`)
        return [name, Object.freeze([...values])]
      }),
    ),
  )
}

/**
 * Labels as people give them to a device, checked and frozen.
 * @throws `INVALID_LABELS`
 */
export function readLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = typeof labels === 'object' && labels !== null && !Array.isArray(labels) ? Object.entries(labels) : undefined
  const wrong =
    entries === undefined || entries.length > labelLimit
      ? 'more'
      : entries.find(
          ([name, value]) => name === 'model' || !namePattern.test(name) || typeof value !== 'string' || !valuePattern.test(value),
        )?.[0]
  if (entries !== undefined && wrong === undefined) return Object.freeze(Object.fromEntries(entries))
  throw fail(
    'INVALID_LABELS',
    `expected at most ${labelLimit} labels (letters, digits and . _ / -; not "model", which devices say themselves), found ${quoted(wrong)}`,
  )
}

/** A new deployment has begun nothing. */
export const notStarted: DeploymentProgress = Object.freeze({
  state: 'running',
  wave: 0,
  size: 0,
  bound: -1,
  forgiven: 0,
  because: Object.freeze([]),
})

/** What of a deployment changes. */
export function progressOf({ state, wave, size, bound, waveAt, forgiven, because }: Deployment): DeploymentProgress {
  return { state, wave, size, bound, ...(waveAt === undefined ? {} : { waveAt }), forgiven, because }
}

/** @throws `DEPLOYMENT_ENDED` */
export function paused(deployment: Deployment, because: readonly Reason[]): DeploymentProgress {
  expectState(deployment, ['running'], 'be paused')
  return { ...progressOf(deployment), state: 'paused', because }
}

/** What has failed so far was looked at: it does not pause the deployment again. @throws `DEPLOYMENT_ENDED` */
export function resumed(deployment: Deployment, because: readonly Reason[]): DeploymentProgress {
  expectState(deployment, ['paused'], 'be resumed')
  return { ...progressOf(deployment), state: 'running', forgiven: deployment.counters.failed, because }
}

/** @throws `DEPLOYMENT_ENDED` */
export function abortedFor(deployment: Deployment, because: readonly Reason[]): DeploymentProgress {
  expectState(deployment, ['running', 'paused'], 'be aborted')
  return { ...progressOf(deployment), state: 'aborted', because }
}

function expectState({ id, state }: Deployment, states: readonly Deployment['state'][], to: string): void {
  if (states.includes(state)) return
  throw fail('DEPLOYMENT_STATE', `deployment ${id}: expected it to be ${states.join(' or ')} to ${to}, found it ${state}`)
}

function ascending(percent: unknown, index: number, all: readonly unknown[]): boolean {
  return isPercent(percent) && (index === 0 || percent > (all[index - 1] as number))
}

function isPercent(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value <= 100
}

function invalid(expected: string, found: unknown): Error {
  return fail('INVALID_DEPLOYMENT', `${expected}; found ${typeof found === 'string' ? quoted(found) : String(found)}`)
}
