import type { Reason } from '../errors.ts'
import type { Cohort, Deployment, DeploymentProgress } from '../plugin/fleet-store.ts'
import { progressOf } from './deployment.ts'

/**
 * The deployment with its open wave counted from now on, where the clock was set back since it began: without this it would stay open until the
 * clock has caught up. Undefined where it was not. Pure.
 */
export function redatedWave(deployment: Deployment, now: Date): DeploymentProgress | undefined {
  const { state, waveAt, waveMs } = deployment
  if (state !== 'running' || waveAt === undefined) return undefined
  const openMs = now.getTime() - Date.parse(waveAt)
  // Another replica's clock may be a moment ahead.
  if (openMs >= 0 || openMs > -waveMs) return undefined
  return { ...progressOf(deployment), waveAt: now.toISOString() }
}

/**
 * The deployment with its next wave open. Its size is what was counted now, and stays: who comes later waits for the wave after it. A place once
 * taken is never given back, and one that a device holds which has left the selector is none of those that were counted for the others: a wave's
 * size is its devices and these. Where another device comes to be selected afterwards, it may find every place taken (`WAVE_FULL`), and the
 * deployment finish without it. The next deployment has it. Pure.
 */
export function startedWave(
  deployment: Deployment,
  counted: Pick<Cohort, 'size' | 'bound'>,
  because: readonly Reason[],
  now: Date,
): DeploymentProgress {
  return {
    ...progressOf(deployment),
    wave: deployment.wave + 1,
    // Devices that have left since do not make a wave smaller than what it holds already.
    size: Math.max(deployment.size, counted.size),
    bound: Math.max(deployment.bound, counted.bound),
    waveAt: now.toISOString(),
    because,
  }
}
