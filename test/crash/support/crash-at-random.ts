import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type OciRegistry, ociRegistry, pushArtifact } from '@reflash/registry-oci'
import type { PullingDevice } from './esp32-device.ts'
import { boardImage, pullingBoard } from './memory-board.ts'
import type { Setup } from './messages.ts'
import { otafluxDevice } from './otaflux-device.ts'
import { type StoredDevice, storedDevices } from './record.ts'
import type { ServerFactory, ServerProcess } from './server-process.ts'
import { falselyConfirmed, lostReports, wrongEnd } from './witness.ts'

export interface RandomCrashes {
  readonly folder: string
  readonly factory: ServerFactory
  readonly devices: number
  /** Deaths of the server; every fourth is a SIGTERM, the others SIGKILL. */
  readonly kills: number
  readonly seed: number
  readonly attestation: Setup['attestation']
}

/** What came of a fleet whose server died again and again. */
export interface RandomTable {
  readonly seed: number
  readonly devices: number
  readonly kills: number
  /** Deaths while at least one device was in the middle of a request. */
  readonly inTheMiddle: number
  readonly updates: number
  readonly confirmed: number
  readonly failed: number
  readonly unobserved: number
  readonly superseded: number
  readonly reports: number
  readonly stuck: number
  readonly falselyConfirmed: number
  readonly reportsLost: number
  readonly problems: readonly string[]
}

const hourMs = 3_600_000
/** Visits after which the last update of every device must have ended. */
const mostVisits = 6
/** Drain, then close: the server has this long to end after SIGTERM. */
const termMs = 20_000

/**
 * Lets a fleet of boards update over real sockets, release after release, while their server dies at random moments of it, and comes back on
 * the same files. One in seven images does not pass its self-test; where no evidence is asked for, every fifth device speaks OtaFlux.
 */
export async function crashAtRandom(options: RandomCrashes): Promise<RandomTable> {
  const { folder, factory, devices: count, kills, seed, attestation } = options
  const random = seeded(seed)
  const registry = ociRegistry()
  const repository = `oci:${join(folder, `releases-${attestation}-${seed}`)}`
  const own = join(folder, `fleet-${attestation}-${seed}`)
  const setup: Setup = { folder: own, repository, target: 'memory', attestation, listens: true }
  const devices = Array.from({ length: count }, (_, index) => deviceOf(index, attestation, seed))
  const ids = devices.map(({ deviceId }) => deviceId)
  const outcomes = new Map<string, StoredDevice['history'][number]['outcome']>()
  const problems: string[] = []
  const wrong = { falselyConfirmed: 0, reportsLost: 0 }
  let inTheMiddle = 0

  async function look(): Promise<ReadonlyMap<string, StoredDevice>> {
    const stored = await storedDevices(own, ids)
    for (const device of devices) {
      const of = stored.get(device.deviceId)
      const [lost, lies] = [lostReports(device, of, attestation), falselyConfirmed(device, of)]
      wrong.reportsLost += lost.length
      wrong.falselyConfirmed += lies.length
      problems.push(...lost.map((why) => `${device.deviceId}: ${why}`), ...lies.map(({ why }) => why))
      for (const { seq, outcome } of of?.history ?? []) outcomes.set(`${device.deviceId}/${seq}`, outcome)
    }
    return stored
  }

  async function end(server: ServerProcess, signal: NodeJS.Signals): Promise<void> {
    server.kill(signal)
    const { code } = await Promise.race([server.gone, pause(termMs).then(() => ({ code: -1 }))])
    if (signal === 'SIGTERM' && code !== 0) problems.push(`expected the exit code 0 after SIGTERM, found ${code}: ${server.stderr()}`)
  }

  let waveMs = 0
  for (let round = 0; round <= kills; round++) {
    await release(registry, repository, versionOf(round))
    const server = await factory.start()
    const url = (await server.open(setup)) as string
    const isOver = { now: false }
    const since = performance.now()
    const wave = Promise.all(devices.map((device) => visits(device, url, isOver, problems)))
    // The first is not disturbed: it tells how long one takes.
    if (round === 0) {
      await Promise.race([wave, server.gone])
      waveMs = performance.now() - since
    } else await pause(random() * waveMs)
    const busy = devices.some(({ isVisiting }) => isVisiting)
    if (busy) inTheMiddle += 1
    isOver.now = true
    await end(server, round % 4 === 3 ? 'SIGTERM' : 'SIGKILL')
    await wave
    await look()
  }

  const server = await factory.start()
  let stuck = 0
  try {
    for (let visit = 1; visit <= mostVisits; visit++) {
      // Only at the end: an hour between two visits is what devices of OtaFlux wait.
      const url = (await server.open({ ...setup, clockOffsetMs: visit * hourMs })) as string
      await Promise.all(
        devices.map((device) => device.visit(url).catch((error: Error) => problems.push(`${device.deviceId}: ${error.message}`))),
      )
    }
    const stored = await look()
    for (const device of devices) {
      const left = wrongEnd(device, stored.get(device.deviceId))
      stuck += left.filter(({ is }) => is === 'stuck').length
      problems.push(...left.map(({ why }) => why))
    }
  } finally {
    for (const device of devices) device.close()
    server.kill()
    await server.gone
  }
  const counted = (wanted: string): number => [...outcomes.values()].filter((outcome) => outcome === wanted).length
  return {
    seed,
    devices: count,
    kills,
    inTheMiddle,
    updates: outcomes.size,
    confirmed: counted('confirmed'),
    failed: counted('failed'),
    unobserved: counted('unobserved'),
    superseded: counted('superseded'),
    reports: devices.reduce((sum, { accepted }) => sum + accepted.length, 0),
    stuck,
    ...wrong,
    problems,
  }
}

interface FleetDevice extends PullingDevice {
  isVisiting: boolean
}

function deviceOf(index: number, attestation: Setup['attestation'], seed: number): FleetDevice {
  const id = `unit-${index}`
  const random = seeded(seed * 1_000 + index)
  const isSilent = attestation === 'none' && index % 5 === 4
  // One answer for each version: an image is good or it is not.
  const passes = new Map<string, boolean>()
  const selfTest = (version: string): boolean => {
    const known = passes.get(version) ?? random() >= 1 / 7
    passes.set(version, known)
    return known
  }
  return Object.assign(isSilent ? otafluxDevice(id) : pullingBoard(id, selfTest), { isVisiting: false })
}

/** Comes again and again until the server dies, or twice where it does not. */
async function visits(device: FleetDevice, url: string, isOver: { readonly now: boolean }, problems: string[]): Promise<void> {
  for (let visit = 1; visit <= 2 && !isOver.now; visit++) {
    device.isVisiting = true
    try {
      await device.visit(url)
    } catch (error) {
      if ((error as { fault?: unknown }).fault === 'unavailable') return
      problems.push(`${device.deviceId}: ${(error as Error).stack ?? error}`)
    } finally {
      device.isVisiting = false
    }
  }
}

const versionOf = (round: number): string => `1.${round + 1}.0`

async function release(registry: OciRegistry, repository: string, version: string): Promise<void> {
  const files = [{ title: 'board.bin', bytes: boardImage(version) }]
  await pushArtifact(registry, `${repository}:${version}`, files, { created: new Date(0), version })
}

/** The seed of this run: another one each time, so that more is seen than any one holds. */
export function crashSeed(): number {
  const given = process.env.REFLASH_SEED
  return given === undefined ? Date.now() % 1_000_000 : Number(given)
}

/** Numbers from 0 to 1 that are the same for the same seed: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
