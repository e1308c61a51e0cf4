import type { Reason } from '../errors.ts'
import { placesTaken } from '../plugin/fleet-rules.ts'
import type { Deployment } from '../plugin/fleet-store.ts'
import { failureReason, healthOf } from './health.ts'

/** What is to be done with a deployment now. `start` opens the next wave; `stop` ends it, because all its devices have ended. */
export type Step =
  | { readonly do: 'start'; readonly percent: number; readonly because: readonly Reason[] }
  | { readonly do: 'hold' | 'pause' | 'stop'; readonly because: readonly Reason[] }

/**
 * Decides, from a deployment and its counters alone, what to start, hold, pause or stop, and why. `left` places (see `leftPlaces`) are waited for by
 * nobody; none where that was not counted. Pure.
 */
export function reconcile(deployment: Deployment, now: Date, left = 0): Step {
  const { state, wave, waves, size, counters, waveAt, waveMs } = deployment
  if (state !== 'running') return hold(`DEPLOYMENT_${state.toUpperCase()}`, `the deployment is ${state}`)
  const health = healthOf(deployment, left)
  // Failures first: a wave that fails must not be followed by a greater one, however many succeeded.
  if (health.fails) return { do: 'pause', because: [failureReason(deployment)] }
  const next = waves[wave]
  if (wave === 0) return start(next as number, 'FIRST_WAVE', `the first wave takes ${next} %`)
  if (next === undefined) {
    const ended = placesTaken(counters) - counters.offered - counters.withdrawn
    if (ended + left < size) return hold('WAVE_OPEN', `${ended} of ${size - left} devices have ended`)
    const gone = left === 0 ? '' : `; ${left} places were left by devices that are not selected any more`
    return { do: 'stop', because: [{ code: 'ALL_ENDED', message: `all ${size - left} devices have ended${gone}` }] }
  }
  if (!health.succeeds) return hold('WAVE_OPEN', `${counters.confirmed} of ${health.needed} needed devices are confirmed`)
  const openMs = now.getTime() - Date.parse(waveAt as string)
  // A clock that was set back waits; it never hurries.
  if (!(openMs >= waveMs)) return hold('WAVE_OPEN', `wave ${wave} stays open for ${waveMs} ms, of which ${openMs} have passed`)
  return start(next, 'WAVE_SUCCEEDED', `${counters.confirmed} of ${size} devices are confirmed, ${health.needed} were needed`)
}

function hold(code: string, message: string): Step {
  return { do: 'hold', because: [{ code, message }] }
}

function start(percent: number, code: string, message: string): Step {
  return { do: 'start', percent, because: [{ code, message }] }
}
