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
 * taken is never given back: a device whose labels leave the selector keeps its place, and where another device has come to be selected
 * meanwhile, that one may find every place taken (`WAVE_FULL`), and the deployment finish without it. The next deployment has it. Pure.
 */
export function startedWave(deployment: Deployment, cohort: Cohort, because: readonly Reason[], now: Date): DeploymentProgress {
  return {
    ...progressOf(deployment),
    wave: deployment.wave + 1,
    // Devices that have left since do not make a wave smaller than what it holds already.
    size: Math.max(deployment.size, cohort.size),
    bound: Math.max(deployment.bound, cohort.bound),
    waveAt: now.toISOString(),
    because,
  }
}
