import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { FaultPoint, Setup } from './messages.ts'
import { type StoredDevice, storedDevices } from './record.ts'
import { ServerDied, type ServerFactory, type ServerProcess } from './server-process.ts'
import { falselyConfirmed, lostReports, type Witness, wrongEnd } from './witness.ts'

/** A whole update, from the first word of a device to its end, however often the server dies. */
export interface Scene {
  readonly name: string
  readonly setup: Pick<Setup, 'repository' | 'target' | 'attestation' | 'key' | 'listens' | 'port'>
  /** How the update ends. */
  readonly ends: 'confirmed' | 'failed' | 'unobserved'
  /** A device that runs 1.0.0. */
  device(): SceneDevice
}

export interface SceneDevice extends Witness {
  /** One step of the device or of whoever pushes to it: a visit, a push. @throws what stands in the way */
  step(server: ServerProcess, url: string): Promise<void>
  /** Milliseconds that pass before its next step. */
  readonly pauseMs?: number
  close?(): void
}

/** What came of all fault points of one scene. */
export interface FaultTable {
  readonly path: string
  /** Writes of one whole update. */
  readonly writes: number
  readonly runs: number
  readonly kills: number
  readonly confirmed: number
  /** With a reason; the silent ones are `unobserved`. */
  readonly failed: number
  readonly stuck: number
  readonly falselyConfirmed: number
  readonly reportsLost: number
  /** One line for each thing that went wrong. */
  readonly problems: readonly string[]
}

/** Steps after which an update must have ended. Most take one before the death of the server and one after it. */
const mostSteps = 6
/** Far more than any update writes. */
const mostWrites = 500

export interface EveryFaultOptions {
  /** What the row is called; the scene's name where absent. */
  readonly path?: string
  readonly of?: FaultPoint['of']
  readonly moments?: readonly FaultPoint['when'][]
  /** Every how manieth write is a fault point; 1 where absent. */
  readonly stride?: number
  /** The first fault point; 1 where absent. */
  readonly first?: number
  /** What happens to the files between the death of a server and its successor. */
  readonly whileDead?: (folder: string) => void
}

/** Runs a scene once for each of its fault points, one after the other, until a run has none left. */
export async function everyFault(
  scene: Scene,
  factory: ServerFactory,
  folder: string,
  options: EveryFaultOptions = {},
): Promise<FaultTable> {
  const {
    of = 'journal',
    moments = of === 'journal' ? ['before', 'after'] : ['before', 'inside'],
    stride = 1,
    first = 1,
    whileDead,
  } = options
  const table = { runs: 0, kills: 0, confirmed: 0, failed: 0, stuck: 0, falselyConfirmed: 0, reportsLost: 0 }
  const problems: string[] = []
  const keeper = serverKeeper(factory)
  let writes = 0
  try {
    for (const when of moments) {
      for (let at = first; at <= mostWrites; at += stride) {
        const own = join(folder, `${scene.name.replace(/[^a-z0-9]+/gi, '-')}-${when}-${at}`)
        mkdirSync(own, { recursive: true })
        const run = await oneRun(scene, keeper, own, { of, at, when }, whileDead)
        rmSync(own, { recursive: true, force: true })
        table.runs += 1
        table.kills += run.wasKilled ? 1 : 0
        table.stuck += run.stuck
        table.falselyConfirmed += run.falselyConfirmed
        table.reportsLost += run.reportsLost
        if (run.outcome === 'confirmed') table.confirmed += 1
        else if (run.outcome !== undefined) table.failed += 1
        problems.push(...run.problems.map((problem) => `${scene.name}, killed ${when} ${of} write ${at}: ${problem}`))
        if (!run.wasKilled) break
        writes = Math.max(writes, at)
      }
    }
  } finally {
    await keeper.end()
  }
  return { path: options.path ?? scene.name, writes, ...table, problems }
}

interface Run {
  readonly wasKilled: boolean
  readonly outcome: StoredDevice['history'][number]['outcome'] | undefined
  readonly stuck: number
  readonly falselyConfirmed: number
  readonly reportsLost: number
  readonly problems: readonly string[]
}

/** One server at a time; the one that ended a run begins the next, on files of its own. */
interface ServerKeeper {
  current(): Promise<ServerProcess>
  end(): Promise<void>
}

export function serverKeeper(factory: ServerFactory): ServerKeeper {
  let server: ServerProcess | undefined
  return {
    async current() {
      if (server?.isAlive !== true) server = await factory.start()
      return server
    },
    async end() {
      server?.kill()
      await server?.gone
    },
  }
}

async function oneRun(
  scene: Scene,
  keeper: ServerKeeper,
  folder: string,
  fault: FaultPoint,
  whileDead?: (folder: string) => void,
): Promise<Run> {
  const device = scene.device()
  const { attestation } = scene.setup
  const problems: string[] = []
  const run = { stuck: 0, falselyConfirmed: 0, reportsLost: 0 }
  let clockOffsetMs = 0
  let wasKilled = false

  const look = async (): Promise<StoredDevice | undefined> => {
    const stored = (await storedDevices(folder, [device.deviceId])).get(device.deviceId)
    const lost = lostReports(device, stored, attestation)
    const wrong = falselyConfirmed(device, stored)
    run.reportsLost += lost.length
    run.falselyConfirmed += wrong.length
    problems.push(...lost, ...wrong.map(({ why }) => why))
    return stored
  }

  let server = await keeper.current()
  const open = (armed: FaultPoint | undefined): Promise<string | undefined> =>
    server.open({ ...scene.setup, folder, clockOffsetMs, ...(armed === undefined ? {} : { fault: armed }) })
  let url = (await open(fault)) ?? ''
  let stored: StoredDevice | undefined
  let refused: string | undefined
  try {
    for (let step = 1; step <= mostSteps; step++) {
      refused = await device.step(server, url).then(
        () => undefined,
        (error: Error) => (error instanceof ServerDied ? undefined : (error.stack ?? error.message)),
      )
      const died = await isGone(server)
      wasKilled ||= died
      stored = await look()
      if (died) {
        whileDead?.(folder)
        server = await keeper.current()
      }
      if (hasEnded(stored)) break
      clockOffsetMs += device.pauseMs ?? 0
      if (died) url = (await open(undefined)) ?? ''
      else if (device.pauseMs !== undefined) await server.ask({ do: 'clock', offsetMs: clockOffsetMs })
    }
  } finally {
    device.close?.()
    await server.ask({ do: 'close' }).catch(() => undefined)
  }
  const [last] = stored?.history ?? []
  for (const { is, why } of wrongEnd(device, stored)) {
    if (is === 'stuck') run.stuck += 1
    problems.push(refused === undefined ? why : `${why}; the last step was refused: ${refused}`)
  }
  if (last !== undefined && last.outcome !== scene.ends)
    problems.push(`expected the end "${scene.ends}", found "${last.outcome}": ${JSON.stringify(last.because)}`)
  return { wasKilled, outcome: last?.outcome, problems, ...run }
}

const hasEnded = (stored: StoredDevice | undefined): boolean =>
  stored !== undefined && stored.open === undefined && stored.history.length > 0

/** Whether the server is dead or dying: a kill shows to its devices a moment before it shows to its parent. */
async function isGone(server: ServerProcess): Promise<boolean> {
  const isThere = await server.ask({ do: 'record', deviceId: 'nobody' }).then(
    () => true,
    () => false,
  )
  if (!isThere) await server.gone
  return !isThere
}
