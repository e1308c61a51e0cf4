import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { table } from '../table.ts'
import { floodedServer } from './flooded-server.ts'
import { type Flood, offerStrangers, type RunningFlood, startFlood, strangerId, strangers } from './floods.ts'
import { type Fleet, updateFleet } from './updating-fleet.ts'

/** What came of floods that ran at once, while a fleet updated. */
export interface FloodResult {
  readonly floods: readonly Pick<RunningFlood, 'flood' | 'opened' | 'ends'>[]
  readonly devices: number
  readonly fleet: Fleet
  /** What the server saw confirmed. */
  readonly confirmed: number
  readonly peakMiB: number
  readonly seconds: number
  /** Whether the server answered at once when all was over. */
  readonly healthy: boolean
}

/** Before the fleet begins: the floods are at their height. */
const headStartMs = 500
/** Floods go on for this long at least, so that what is slow meets its limit. */
const leastMs = 4_500
const fleetLimitMs = 90_000

/** Runs the floods at once against a server of their own while so many devices update. */
export async function runFloods(chosen: readonly Flood[], devices: number): Promise<FloodResult> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-flood-'))
  try {
    const ids = Array.from({ length: devices }, (_, index) => `lamp-${index}`)
    const others = Array.from({ length: strangers }, (_, index) => strangerId(index))
    await using server = await floodedServer(folder, [...ids, ...others])
    await offerStrangers(server)
    const started = performance.now()
    const running = chosen.map((flood) => startFlood(flood, server))
    await pause(Math.max(...chosen.map(({ connections, everyMs = 0 }) => headStartMs + connections * everyMs)))
    const fleet = await updateFleet(server, folder, ids, fleetLimitMs)
    await pause(Math.max(0, leastMs - (performance.now() - started)))
    for (const flood of running) flood.stop()
    const seconds = Number(((performance.now() - started) / 1000).toFixed(1))
    const peakMiB = server.peakMiB()
    const answer = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    const confirmed = ids.filter((id) => server.confirmed.has(id)).length
    return { floods: running, devices, fleet, confirmed, peakMiB, seconds, healthy: answer?.ok === true }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The table of docs/hostile-peers.md. */
export function floodTable(results: readonly FloodResult[]): string {
  const shown = (ends: ReadonlyMap<string, number>): string => [...ends].map(([end, count]) => `${end} (${count})`).join(', ')
  const rows = results.flatMap(({ floods: chosen, devices, confirmed, fleet, peakMiB, seconds }) =>
    chosen.map(({ flood, opened, ends }) => [
      flood.name,
      `${flood.connections} at once, ${opened} in all`,
      shown(ends),
      `${confirmed} of ${devices}`,
      fleet.slowestMs,
      peakMiB,
      seconds,
    ]),
  )
  return table(['clients that send', 'connections', 'ended with', 'devices confirmed', 'slowest, ms', 'peak memory, MiB', 'seconds'], rows)
}
