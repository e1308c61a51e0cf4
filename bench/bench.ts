import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isInstalled } from '../scripts/gate/debian-packages.ts'
import { runCommand } from '../scripts/gate/run-command.ts'
import { root } from '../scripts/workspaces.ts'
import { compare } from './compare.ts'
import { type Line, printed, reached } from './goals.ts'
import { type MeasuredProcess, startProcess } from './measured-process.ts'
import { hasDockerRegistry, registryInstall, startDockerRegistry } from './peer/docker-registry.ts'
import { nginxInstall, nginxPath, startNginx } from './peer/nginx.ts'
import { hasWrk, type Load, wrk, wrkInstall } from './peer/wrk.ts'
import { devices, type Served, serve } from './served.ts'

// npm run bench [-- --quick] [-- --json]: what reflash costs beside the least that could do the job, in ratios (steady on a shared machine) and
// CPU time. Each pair is measured in turns. Parts whose peer is missing are named and left out.

const quick = process.argv.includes('--quick')
const json = process.argv.includes('--json')
const rounds = quick ? 1 : 5
const seconds = quick ? 1 : 3
const mebibyte = 1024 * 1024
const lines: Line[] = []
const left: string[] = []

function report(...more: readonly Line[]): void {
  lines.push(...more)
  if (!json) for (const line of more) console.log(printed(line))
}

function leaveOut(part: string, install: string): void {
  left.push(part)
  console.error(`LEFT OUT: ${part}: install its peer with \`${install}\``)
}

const authorized = { Authorization: 'Bearer bench-token-{n}' }
const version: Load = { path: '/version?device=d{n}', headers: authorized, devices: 64 }
const checkIn: Load = {
  path: '/v1/devices/d{n}/check-in',
  method: 'POST',
  headers: authorized,
  body: JSON.stringify({ model: 'esp32s3', installed: { version: '1.0.0', state: 'confirmed' } }),
  devices: 64,
}
const firmware: Load = { path: '/firmware?device=d{n}', headers: authorized, devices: 64 }

/** Asks once as device `n`, and fails on anything but a good answer. */
async function ask(served: Served, { path, method = 'GET', body }: Load, n: number): Promise<string> {
  const headers = { Authorization: `Bearer bench-token-${n}`, 'Content-Type': 'application/json' }
  const response = await fetch(served.url + path.replace('{n}', String(n)), { method, headers, ...(body === undefined ? {} : { body }) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: status ${response.status}: ${text}`)
  return text
}

async function checkedPass(): Promise<void> {
  const command = [process.execPath, '--conditions=@reflash/source', `${root}packages/core/bench/checked.ts`, '--json']
  const { code, stdout, output } = await runCommand(command)
  if (code !== 0) throw new Error(output)
  const cases = JSON.parse(stdout) as { wholeMiB: number; chunkKiB: number; ratio: number }[]
  report(
    ...cases.map(({ wholeMiB, chunkKiB, ratio }) => ({
      what: `checked, ${wholeMiB} MiB in ${chunkKiB} KiB chunks: CPU time by that of SHA-256`,
      value: ratio,
      unit: 'times',
      atMost: 1.4,
    })),
  )
}

async function diceAppraisal(): Promise<void> {
  const command = [process.execPath, '--conditions=@reflash/source', `${root}packages/attest-dice/bench/appraisal.ts`, '--json']
  const { code, stdout, output } = await runCommand(command)
  if (code !== 0) throw new Error(output)
  const { cached, uncached, cachedMicros, bareMicros } = JSON.parse(stdout) as Readonly<Record<string, number>>
  const beside = 'rate by that of five bare P-256 verifications'
  report(
    { what: `DICE chain of 4, seen before: ${beside}`, value: cached as number, unit: 'times', atLeast: 0.6 },
    { what: `DICE chain of 4, never seen: ${beside}`, value: uncached as number, unit: 'times' },
    { what: 'DICE chain of 4, seen before: CPU per appraisal', value: cachedMicros as number, unit: 'us' },
    { what: 'five bare P-256 verifications: CPU', value: bareMicros as number, unit: 'us' },
  )
}

async function mqttImages(): Promise<void> {
  const command = [process.execPath, '--conditions=@reflash/source', `${root}packages/transport-mqtt/bench/image-throughput.ts`, '--json']
  const { code, stdout, output } = await runCommand([...command, ...(quick ? ['--quick'] : [])])
  if (code !== 0) throw new Error(output)
  const { ratio, oursMiBPerSecond, bareMiBPerSecond, cpuRatio } = JSON.parse(stdout) as Readonly<Record<string, number>>
  const what = 'MQTT image to 100 devices'
  report(
    { what: `${what}: rate by that of bare chunks through the same Mosquitto`, value: ratio as number, unit: 'times', atLeast: 0.7 },
    { what: `${what}: rate`, value: oursMiBPerSecond as number, unit: 'MiB/s' },
    { what: `${what}: CPU of bare chunks, all processes, by that of images`, value: cpuRatio as number, unit: 'times' },
    { what: `${what}: rate of bare chunks`, value: bareMiBPerSecond as number, unit: 'MiB/s' },
  )
}

async function serialWrite(): Promise<void> {
  const command = [process.execPath, '--conditions=@reflash/source', `${root}packages/target-esp32/bench/serial-write.ts`, '--json']
  const { code, stdout, output } = await runCommand(command)
  if (code !== 0) throw new Error(output)
  const { ratio, seconds, packed, cpuMs } = JSON.parse(stdout) as Readonly<Record<string, number>>
  const what = '1 MiB over a serial line at 921,600 baud, compressed, written and verified'
  report(
    { what: `${what}: rate by that of the bare line`, value: ratio as number, unit: 'times', atLeast: 1 },
    { what: `${what}: time`, value: seconds as number, unit: 's' },
    { what: `${what}: CPU`, value: cpuMs as number, unit: 'ms' },
    { what: 'that MiB, packed, by its size', value: packed as number, unit: 'times' },
  )
}

/** The least that node:http can do: a constant of that many bytes, whatever is asked. */
async function bareServer(
  sizeBytes: number,
  ...options: readonly string[]
): Promise<{ readonly process: MeasuredProcess; readonly url: string }> {
  const { process: server, ready } = await startProcess(
    [process.execPath, join(import.meta.dirname, 'child/constant-server.ts'), String(sizeBytes), ...options],
    (text) => /"port":(\d+)/.exec(text)?.[1],
  )
  return { process: server, url: `http://127.0.0.1:${ready}` }
}

async function smallAnswers(served: Served): Promise<void> {
  for (const [name, load] of [
    ['/version', version],
    ['idle check-in', checkIn],
  ] as const) {
    const size = Buffer.byteLength(await ask(served, load, 0))
    const bare = await bareServer(size)
    const { ours, theirs, rate, p99 } = await compare(
      rounds,
      quick ? 1 : 60_000,
      () => wrk(load, served.url, served.process, seconds),
      () => wrk(load, bare.url, bare.process, seconds),
    )
    await bare.process.stop()
    report(
      { what: `${name}: rate by that of a bare node:http server`, value: rate, unit: 'times', atLeast: 0.7 },
      { what: `${name}: p99 by that of the bare server`, value: p99, unit: 'times', atMost: 2 },
      { what: `${name}: CPU per request`, value: ours.cpuMicros, unit: 'us' },
      { what: `${name}: CPU per request of the bare server`, value: theirs.cpuMicros, unit: 'us' },
    )
  }
}

/** Idle check-ins of a fleet: each device is looked up, held against a deployment, and told that this is paused. */
async function fleetAnswers(folder: string): Promise<void> {
  const known = quick ? 1_000 : 100_000
  const served = await serve(folder, mebibyte / 4, undefined, known)
  try {
    const load = { ...checkIn, devices: known }
    const size = Buffer.byteLength(await ask(served, load, 0))
    const bare = await bareServer(size)
    const { ours, theirs, rate, p99 } = await compare(
      rounds,
      quick ? 1 : known,
      () => wrk(load, served.url, served.process, seconds),
      () => wrk(load, bare.url, bare.process, seconds),
    )
    await bare.process.stop()
    const name = `idle check-in of ${known} devices in a deployment`
    report(
      { what: `${name}: rate by that of a bare node:http server`, value: rate, unit: 'times', atLeast: 0.6 },
      { what: `${name}: p99 by that of the bare server`, value: p99, unit: 'times' },
      { what: `${name}: CPU per request`, value: ours.cpuMicros, unit: 'us' },
      { what: `${name}: CPU per request of the bare server`, value: theirs.cpuMicros, unit: 'us' },
    )
  } finally {
    await served.process.stop()
  }
}

async function largeAnswers(served: Served, name: string, atLeast: number, folder: string): Promise<void> {
  for (let n = 0; n < (firmware.devices ?? 1); n++) await ask(served, version, n)
  const nginx = await startNginx(served.files, folder)
  const { ours, theirs, bytes } = await compare(
    rounds,
    quick ? 1 : 500,
    () => wrk(firmware, served.url, served.process, seconds),
    () => wrk({ ...firmware, path: '/image.bin' }, nginx.url, nginx.process, seconds),
  )
  await nginx.process.stop()
  const sizeMiB = ours.bytesPerSecond / ours.requestsPerSecond / mebibyte
  report(
    { what: `/firmware ${name}: bytes per second by those of nginx`, value: bytes, unit: 'times', atLeast },
    { what: `/firmware ${name}: CPU per MiB`, value: ours.cpuMicros / sizeMiB, unit: 'us' },
    { what: `/firmware ${name}: CPU per MiB of nginx`, value: theirs.cpuMicros / sizeMiB, unit: 'us' },
  )
}

/** How near to nginx a program comes that only hands one buffer to node:http: what is left for us to reach. */
async function hotLimit(folder: string, files: string): Promise<void> {
  const nginx = await startNginx(files, folder)
  const bare = await bareServer(mebibyte, '--bytes')
  const load: Load = { path: '/image.bin' }
  const { ours, bytes } = await compare(
    rounds,
    quick ? 1 : 500,
    () => wrk(load, bare.url, bare.process, seconds),
    () => wrk(load, nginx.url, nginx.process, seconds),
  )
  await bare.process.stop()
  await nginx.process.stop()
  report(
    { what: '1 MiB from a buffer by a bare node:http server: bytes per second by those of nginx', value: bytes, unit: 'times' },
    { what: '1 MiB from a buffer by a bare node:http server: CPU per MiB', value: ours.cpuMicros, unit: 'us' },
  )
}

async function slowDevices(served: Served): Promise<void> {
  const idle = served.process.residentBytes()
  let highest = 0
  const timer = setInterval(() => {
    highest = Math.max(highest, served.process.residentBytes())
  }, 100)
  const child = join(import.meta.dirname, 'child/slow-devices.ts')
  const { code, stdout, output } = await runCommand([process.execPath, child, served.url, String(devices), String(mebibyte)])
  clearInterval(timer)
  if (code !== 0) throw new Error(`the slow devices failed\n${output}`)
  const { bytes, seconds: took } = JSON.parse(stdout) as { bytes: number; seconds: number }
  report(
    { what: `${devices} devices at 1 MiB/s: resident memory`, value: highest / mebibyte, unit: 'MiB', atMost: 200 },
    { what: `${devices} devices at 1 MiB/s: resident memory before`, value: idle / mebibyte, unit: 'MiB' },
    { what: `${devices} devices at 1 MiB/s: what reached each`, value: bytes / devices / took / mebibyte, unit: 'MiB/s' },
  )
}

/** That the figures above were not bought with a stale catalog: a new tag is offered soon, and an absent registry is survived. */
async function freshness(folder: string): Promise<void> {
  const registry = await startDockerRegistry(join(folder, 'registry'))
  await withServed(
    join(folder, 'served'),
    mebibyte / 4,
    async (served) => {
      if (!(await ask(served, version, 0)).startsWith('1.0.0')) throw new Error('expected 1.0.0 to be offered first')
      await served.release('1.1.0')
      const start = performance.now()
      while (!(await ask(served, version, 0)).startsWith('1.1.0') && performance.now() - start < 30_000) await pause(100)
      report({ what: 'a new tag of a registry is offered after', value: (performance.now() - start) / 1000, unit: 's', atMost: 10 })
      await registry.process.stop()
      const known: boolean[] = []
      for (let n = 0; n < 12; n++) {
        known.push((await ask(served, version, n)).startsWith('1.1.0'))
        await pause(1000)
      }
      const answered = known.filter(Boolean).length
      report({ what: 'check-ins answered in 12 s while the registry is down', value: answered, unit: 'of 12', atLeast: 12 })
    },
    `${registry.host}/bench/firmware`,
  )
}

async function withServed(folder: string, sizeBytes: number, use: (served: Served) => Promise<void>, repository?: string): Promise<void> {
  const served = await serve(folder, sizeBytes, repository)
  try {
    await use(served)
  } finally {
    await served.process.stop()
  }
}

const temporary = mkdtempSync(join(tmpdir(), 'reflash-bench-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))
const wrkIsThere = await hasWrk()
if (!wrkIsThere) leaveOut('every rate', wrkInstall)
const nginxIsThere = nginxPath() !== undefined
if (!nginxIsThere) leaveOut('/firmware beside nginx', nginxInstall)
const registryIsThere = await hasDockerRegistry()
if (!registryIsThere) leaveOut('a new tag, and a registry that is down', registryInstall)
if (!json)
  console.log(
    `Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model}; medians of ${rounds} rounds of ${seconds} s, taken in turns\n`,
  )

await checkedPass()
await diceAppraisal()
await serialWrite()
if (await isInstalled('mosquitto')) await mqttImages()
else leaveOut('MQTT images', 'apt-get install mosquitto')
await withServed(join(temporary, 'small'), mebibyte, async (served) => {
  if (wrkIsThere) await smallAnswers(served)
  if (wrkIsThere && nginxIsThere) await largeAnswers(served, '1 MiB hot', 1, join(temporary, 'nginx-small'))
  if (wrkIsThere && nginxIsThere) await hotLimit(join(temporary, 'nginx-limit'), served.files)
})
if (wrkIsThere) await fleetAnswers(join(temporary, 'fleet'))
await withServed(join(temporary, 'large'), 16 * mebibyte, async (served) => {
  await slowDevices(served)
  if (wrkIsThere && nginxIsThere) await largeAnswers(served, '16 MiB from disk', 0.4, join(temporary, 'nginx-large'))
})
if (registryIsThere) await freshness(join(temporary, 'freshness'))

if (json) console.log(JSON.stringify({ node: process.versions.node, rounds, seconds, leftOut: left, lines }, undefined, 2))
else {
  const missed = lines.filter((line) => !reached(line)).length
  console.log(`\n${lines.length} figures, ${missed} goals missed, ${left.length} parts left out`)
}
