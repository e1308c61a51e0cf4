import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ManualClock, manualClock } from '@reflash/core/testing'
import type { AttackedRegistry } from './attacked-registry.ts'
import { type HostileBench, hostileBench, type LampDevices, lampDevices } from './hostile-bench.ts'
import { chip, type LampReleases, type StoredRelease } from './lamp-releases.ts'
import { codesOf, peakMemory } from './run-registry-attack.ts'
import { knownTags, served, type WarmAttack } from './warm-attacks.ts'

export type WarmMode = 'running' | 'restarted'

/** What came of one attack on a system that knows 1.0.0 and 1.1.0. */
export interface WarmResult {
  readonly name: string
  readonly mode: WarmMode
  /** What was told to the device that pulls, to whoever pushes, and to one that is at nothing yet. */
  readonly pull: readonly string[]
  readonly push: readonly string[]
  readonly fresh: readonly string[]
  /** Versions that both devices ran when the attack was over. */
  readonly during: readonly string[]
  /** Updates that the attack ended otherwise than by their confirmation. */
  readonly failed: readonly string[]
  /** Bytes of anything but a verified release that reached a device. */
  readonly foreignBytes: number
  readonly longestMs: number
  readonly peakMiB: number
  /** Versions that both devices ran, once the registry was honest again and had 1.2.0. */
  readonly after: readonly string[]
}

/** One to go on with what is under way, one to see what comes then. */
const visits = 2

/** Lets a system serve honestly, attacks it while both devices are in the middle of 1.1.0, and lets the registry be honest again. */
export async function runWarmAttack(
  attack: WarmAttack,
  mode: WarmMode,
  registry: AttackedRegistry,
  releases: LampReleases,
): Promise<WarmResult> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-hostile-'))
  const { old, next, newest } = releases
  const devices = lampDevices(releases.factory, new Map([old, next, newest].map(({ image, bytes }) => [image.digest, bytes])))
  const clock = manualClock()
  // With nothing in memory, what is served comes from the disk.
  const open = (): Promise<HostileBench> =>
    hostileBench(folder, registry, releases, { devices, clock, ...(attack.disk === undefined ? {} : { hotBytes: 0 }) })
  let bench = await open()
  try {
    registry.intercept = undefined
    await underWay(bench, registry, releases)
    if (mode === 'restarted') await bench[Symbol.asyncDispose]()
    await attack.disk?.(join(folder, 'cache', 'blobs'), releases)
    registry.tags = (attack.tags ?? knownTags)(releases)
    registry.intercept = attack.intercept
    const memory = peakMemory()
    if (mode === 'restarted') bench = await open()
    const met = await meet(bench, clock)
    const peakMiB = memory()
    registry.intercept = undefined
    registry.tags = { ...knownTags(releases), '1.2.0': newest.root }
    const failed = await endedBadly(bench)
    await until(bench, newest)
    const foreignBytes = devices.pulling.recorded().strange + devices.pushed.recorded().strange
    return { name: attack.name, mode, ...met, failed, foreignBytes, peakMiB, after: versionsOf(devices) }
  } finally {
    registry.intercept = undefined
    await bench[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Brings both devices to 1.0.0, and into the middle of 1.1.0. */
async function underWay(bench: HostileBench, registry: AttackedRegistry, releases: LampReleases): Promise<void> {
  const { pulling, pushed } = bench
  registry.tags = { '1.0.0': releases.old.root }
  await until(bench, releases.old)
  registry.tags = knownTags(releases)
  await cutAtFirstByte(bench, pulling, (signal) => pulling.checkIn(signal))
  await cutAtFirstByte(bench, pushed, (signal) => bench.push(signal))
  for (const { open } of await recordsOf(bench)) {
    if (open?.version !== '1.1.0') throw new Error(`expected an update to 1.1.0 under way, found ${JSON.stringify(open)}`)
  }
}

// On a machine that is busy with something else, the short times of the bench may pass before the first byte.
async function cutAtFirstByte(
  { later }: HostileBench,
  device: { onBytes: () => void },
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const cut = new AbortController()
  device.onBytes = () => cut.abort()
  for (let attempt = 0; attempt < 10 && !cut.signal.aborted; attempt++) {
    later()
    await work(cut.signal).catch(() => undefined)
  }
  device.onBytes = () => {}
  if (!cut.signal.aborted) throw new Error('expected bytes of an image, found none')
}

async function meet(bench: HostileBench, clock: ManualClock) {
  const told = { pull: new Set<string>(), push: new Set<string>(), fresh: new Set<string>() }
  let longestMs = 0
  const { pulling, pushed, gateway } = bench
  const timed = async (codes: Set<string>, work: () => Promise<readonly { readonly code: string }[]>): Promise<void> => {
    const started = performance.now()
    for (const code of await codesOf(work)) codes.add(code)
    longestMs = Math.max(longestMs, Math.round(performance.now() - started))
  }
  for (let visit = 0; visit < visits; visit++) {
    clock.advance(60_000)
    await timed(told.pull, async () => (await pulling.checkIn()).because)
    await timed(told.push, async () => (await bench.push()).because)
    if (pushed.device.state().installed?.state === 'pending') pushed.device.markValid()
    await timed(told.fresh, async () => {
      const who = { deviceId: `lamp-${3 + visit}`, by: 'gateway' } as const
      const { offer, because } = await gateway.checkIn(who, { model: chip, installed: { version: '1.0.0' } })
      return offer === undefined ? because : [{ code: offer.version === '1.1.0' ? served : offer.version }]
    })
  }
  return { pull: [...told.pull], push: [...told.push], fresh: [...told.fresh], longestMs, during: versionsOf(bench) }
}

interface Kept {
  readonly open?: { readonly version: string }
  readonly history: readonly {
    readonly version: string
    readonly outcome: string
    readonly because: readonly { readonly code: string }[]
  }[]
}

async function recordsOf({ gateway }: HostileBench): Promise<readonly Kept[]> {
  const { journal } = gateway.composition
  return Promise.all(['lamp-1', 'lamp-2'].map(async (id) => (await journal.get(`device/${id}`))?.value as never))
}

async function endedBadly(bench: HostileBench): Promise<readonly string[]> {
  return (await recordsOf(bench)).flatMap(({ history }) =>
    history
      .filter(({ outcome }) => outcome !== 'confirmed')
      .map(({ version, outcome, because }) => `${version} ${outcome}: ${because.map(({ code }) => code).join(', ')}`),
  )
}

function versionsOf({ pulling, pushed }: LampDevices): readonly string[] {
  return [pulling, pushed].map(({ device }) => {
    const { installed } = device.state()
    return `${installed?.version} ${installed?.state}`
  })
}

async function until(bench: HostileBench, { image }: StoredRelease): Promise<void> {
  const { pulling, pushed } = bench
  const isThere = ({ device }: { device: typeof pulling.device }): boolean => {
    const { installed } = device.state()
    return installed?.digest === image.digest && installed.state === 'confirmed'
  }
  for (let visit = 0; visit < 10 && !(isThere(pulling) && isThere(pushed)); visit++) {
    bench.later()
    await codesOf(async () => (await pulling.checkIn()).because)
    await codesOf(async () => (await bench.push()).because)
    if (pushed.device.state().installed?.state === 'pending') pushed.device.markValid()
  }
  // The journal hears of the last confirmation.
  await codesOf(async () => (await bench.push()).because)
}
