import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createGateway, type Target, tokenDevices, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import { connectAsync } from 'mqtt'
import { mqttTransport } from '../src/index.ts'
import { type Mosquitto, startMosquitto } from '../test/support/mosquitto.ts'

// node --conditions=@reflash/source packages/transport-mqtt/bench/image-throughput.ts [--quick] [--json]
//
// An image to a hundred devices that have checked in: asked for part by part, each chunk with its CRC-32 made and checked; beside bare chunks of the same
// size, published as fast as the broker takes them and only counted. The same Mosquitto, the same client library, a process for all devices.

const quick = process.argv.includes('--quick')
const rounds = quick ? 1 : 3
const devices = 100
const mebibyte = 1024 * 1024
const imageBytes = quick ? mebibyte : 4 * mebibyte
const chunkBytes = 16 * 1024
const repository = 'registry.test/bench/board'

interface Taken {
  /** From the start to the last byte. */
  readonly seconds: number
  /** Of server, devices and broker together, in that time. */
  readonly cpuSeconds: number
}

/** CPU time of a process so far: fields 14 and 15 of proc(5), in ticks of 10 ms. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Lets a process of devices take its images. */
async function taken(mode: 'bare' | 'reflash', { url, pid }: Mosquitto, start: () => Promise<void> | void): Promise<Taken> {
  const child = fork(new URL('child/devices.ts', import.meta.url), [mode, url, String(devices), String(imageBytes)], {
    execArgv: ['--conditions=@reflash/source'],
  })
  const ended = once(child, 'exit')
  await once(child, 'message')
  const cpuSeconds = (): number => [process.pid, child.pid as number, pid].reduce((sum, each) => sum + cpuSecondsOf(each), 0)
  const cpuBefore = cpuSeconds()
  const begin = performance.now()
  child.send('go')
  await start()
  await once(child, 'message')
  const seconds = (performance.now() - begin) / 1000
  const result = { seconds, cpuSeconds: cpuSeconds() - cpuBefore }
  child.disconnect()
  await ended
  return result
}

async function bare(broker: Mosquitto): Promise<Taken> {
  const client = await connectAsync(broker.url, { protocolVersion: 5, clean: true })
  const chunk = Buffer.alloc(chunkBytes, 7)
  const result = await taken('bare', broker, async () => {
    for (let at = 0; at < imageBytes; at += chunkBytes) {
      for (let device = 0; device < devices; device++) {
        client.publish(`bare/d${device}`, chunk)
        if (client.stream.writableNeedDrain) await once(client.stream, 'drain')
      }
    }
  })
  await client.endAsync()
  return result
}

async function reflash(broker: Mosquitto): Promise<Taken> {
  const registry = memoryRegistry()
  const head = 'board board\n1.1.0\n'
  const content = new TextEncoder().encode(head + 'x'.repeat(imageBytes - head.length))
  registry.addArtifact(repository, { content, tag: '1.1.0', version: '1.1.0' })
  const authenticators = [tokenDevices(Object.fromEntries(Array.from({ length: devices }, (_, index) => [`d${index}`, `token-${index}`])))]
  // The memory target would read the image as text for each release line; its slot is smaller than the image here.
  const inspect: Target['inspect'] = async () => ({ size: imageBytes, facts: null })
  const target: Target = { ...(memoryTarget() as Target), inspect, plan: () => null, parsePlan: (facts) => facts }
  const composed = { repository, registry, verifiers: [unsignedArtifacts()], targets: [target], authenticators }
  const gateway = createGateway({ ...composed, attestation: [unattestedDevices()], journal: memoryJournal(), cache: memoryCache() })
  const transport = mqttTransport({ url: broker.url })
  await transport.serve({ gateway, authenticators })
  const result = await taken('reflash', broker, () => {})
  await transport.close()
  await gateway.composition.close()
  return result
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number
const pairs: { readonly bare: Taken; readonly ours: Taken }[] = []
{
  await using broker = await startMosquitto()
  // Once each without counting, so that both are compiled.
  if (!quick) pairs.push({ bare: await bare(broker), ours: await reflash(broker) })
  pairs.length = 0
  for (let round = 0; round < rounds; round++) pairs.push({ bare: await bare(broker), ours: await reflash(broker) })
}
const rate = (seconds: number): number => (devices * imageBytes) / mebibyte / seconds
const perMiB = (cpuSeconds: number): number => (cpuSeconds * 1e6) / ((devices * imageBytes) / mebibyte)
const result = {
  devices,
  imageMiB: imageBytes / mebibyte,
  bareMiBPerSecond: rate(median(pairs.map((pair) => pair.bare.seconds))),
  oursMiBPerSecond: rate(median(pairs.map((pair) => pair.ours.seconds))),
  ratio: median(pairs.map(({ bare, ours }) => bare.seconds / ours.seconds)),
  bareCpuMicrosPerMiB: perMiB(median(pairs.map((pair) => pair.bare.cpuSeconds))),
  oursCpuMicrosPerMiB: perMiB(median(pairs.map((pair) => pair.ours.cpuSeconds))),
  cpuRatio: median(pairs.map(({ bare, ours }) => bare.cpuSeconds / ours.cpuSeconds)),
}
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  const { bareMiBPerSecond, oursMiBPerSecond, ratio, bareCpuMicrosPerMiB, oursCpuMicrosPerMiB, cpuRatio } = result
  console.log(
    `bare ${bareMiBPerSecond.toFixed(0)} MiB/s, ours ${oursMiBPerSecond.toFixed(0)} MiB/s, ratio ${ratio.toFixed(2)} (goal: at least 0.7)`,
  )
  console.log(
    `CPU of server, devices and broker per MiB: bare ${bareCpuMicrosPerMiB.toFixed(0)} us, ours ${oursCpuMicrosPerMiB.toFixed(0)} us, ratio ${cpuRatio.toFixed(2)}`,
  )
}
