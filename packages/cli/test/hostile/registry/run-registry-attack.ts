import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOtaError } from '@reflash/core'
import { type AttackedRegistry, secret } from './attacked-registry.ts'
import { type HostileBench, hostileBench, lampDevices } from './hostile-bench.ts'
import type { LampReleases } from './lamp-releases.ts'
import { honestTags, type RegistryAttack } from './registry-attacks.ts'

/** What came of one attack. */
export interface AttackResult {
  readonly name: string
  /** Codes that the device, and whoever pushes, was told. */
  readonly pull: readonly string[]
  readonly push: readonly string[]
  /** Bytes of anything but the verified release that reached either device. */
  readonly foreignBytes: number
  /** Digests that were offered or sent, and are not the verified release's. */
  readonly foreign: readonly string[]
  /** Operations on the flash of either device while there was nothing to install. */
  readonly flashed: number
  readonly leaked: boolean
  /** Milliseconds of the longest single wait, and growth of the process at its peak. */
  readonly longestMs: number
  readonly peakMiB: number
  /** Versions that both devices ran, once the registry was honest again. */
  readonly after: readonly string[]
}

const visits = 2

/** Runs one attack against a system of its own, then lets the registry be honest again. */
export async function runRegistryAttack(attack: RegistryAttack, registry: AttackedRegistry, releases: LampReleases): Promise<AttackResult> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-hostile-'))
  registry.seenElsewhere.length = 0
  try {
    await using bench = await hostileBench(folder, registry, releases, { devices: lampDevices(releases.old.bytes) })
    registry.tags = (attack.tags ?? honestTags)(releases)
    registry.intercept = attack.intercept
    const memory = peakMemory()
    const met = await meet(bench, attack.code !== undefined)
    const peakMiB = memory()
    const result = { name: attack.name, ...met, ...foreignIn(bench, releases), peakMiB }
    registry.tags = honestTags(releases)
    registry.intercept = undefined
    const after = await recover(bench, releases)
    const secrets = [secret.password, Buffer.from(`${secret.username}:${secret.password}`).toString('base64')]
    const leaked = registry.seenElsewhere.some((seen) => /authorization/i.test(seen) || secrets.some((text) => seen.includes(text)))
    return { ...result, leaked, after }
  } finally {
    registry.intercept = undefined
    await rm(folder, { recursive: true, force: true })
  }
}

async function meet(bench: HostileBench, refused: boolean): Promise<Pick<AttackResult, 'pull' | 'push' | 'longestMs'>> {
  const told = { pull: new Set<string>(), push: new Set<string>() }
  let longestMs = 0
  const timed = async (work: () => Promise<void>): Promise<void> => {
    const started = performance.now()
    await work()
    longestMs = Math.max(longestMs, Math.round(performance.now() - started))
  }
  for (let visit = 0; visit < visits; visit++) {
    await timed(async () => {
      for (const code of await codesOf(async () => (await bench.pulling.checkIn()).because)) told.pull.add(code)
    })
    await timed(async () => {
      for (const code of await codesOf(async () => (await bench.push()).because)) told.push.add(code)
    })
    if (refused) bench.later()
  }
  if (refused) await bench.pulling.tryDoors()
  return { pull: [...told.pull], push: [...told.push], longestMs }
}

/** The last part of each reason: where it was met is told before it. */
export async function codesOf(work: () => Promise<readonly { readonly code: string }[]>): Promise<readonly string[]> {
  try {
    return (await work()).map(({ code }) => code.split('/').at(-1) as string)
  } catch (error) {
    if (!isOtaError(error)) throw error
    // A download that was tried again and again tells of the last failure.
    const { remoteCode } = { ...(isOtaError(error.cause) ? error.cause.details : {}), ...error.details }
    return [
      ...(typeof remoteCode === 'string' ? [remoteCode] : [error.code]),
      ...error.because.map(({ code }) => code.split('/').at(-1) as string),
    ]
  }
}

function foreignIn({ pulling, pushed }: HostileBench, { next }: LampReleases): Pick<AttackResult, 'foreign' | 'foreignBytes' | 'flashed'> {
  const [pull, push] = [pulling.recorded(), pushed.recorded()]
  const foreign = [...pull.offered, ...pull.sent].filter((digest) => digest !== next.image.digest)
  const good = pull.sent.length > 0 && foreign.length === 0
  return {
    foreign,
    foreignBytes: (good ? 0 : pull.bytes) + (pushed.device.state().installed?.digest === next.image.digest ? 0 : push.bytes),
    flashed: pull.flashed + push.flashed,
  }
}

async function recover(bench: HostileBench, { next }: LampReleases): Promise<readonly string[]> {
  const { pulling, pushed } = bench
  const versions = (): readonly string[] =>
    [pulling, pushed].map(({ device }) => {
      const { installed } = device.state()
      return installed?.digest === next.image.digest ? `${installed.version} ${installed.state}` : 'another image'
    })
  for (let visit = 0; visit < 5 && versions().some((version) => version !== '1.1.0 confirmed'); visit++) {
    bench.later()
    await codesOf(async () => (await pulling.checkIn()).because)
    await codesOf(async () => (await bench.push()).because)
    if (pushed.device.state().installed?.state === 'pending') pushed.device.markValid()
  }
  return versions()
}

/** Starts to watch this process; the answer is by how many MiB its peak was above where it stood. */
export function peakMemory(): () => number {
  globalThis.gc?.()
  try {
    // Linux, proc(5): 5 resets the peak to what is resident now.
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    const before = process.resourceUsage().maxRSS
    return () => Math.round((process.resourceUsage().maxRSS - before) / 1024)
  }
  const read = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  const before = read('VmRSS')
  return () => Math.round((read('VmHWM') - before) / 1024)
}
