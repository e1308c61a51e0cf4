import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createGateway, type Target, tokenDevices, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import { connectAsync } from 'mqtt'
import { mqttTransport } from '../src/index.ts'
import { startMosquitto } from '../test/support/mosquitto.ts'

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

/** Lets a process of devices take its images; seconds from the start to the last byte. */
async function taken(mode: 'bare' | 'reflash', url: string, start: () => Promise<void> | void): Promise<number> {
  const child = fork(new URL('child/devices.ts', import.meta.url), [mode, url, String(devices), String(imageBytes)], {
    execArgv: ['--conditions=@reflash/source'],
  })
  const ended = once(child, 'exit')
  await once(child, 'message')
  const begin = performance.now()
  child.send('go')
  await start()
  await once(child, 'message')
  const seconds = (performance.now() - begin) / 1000
  child.disconnect()
  await ended
  return seconds
}

async function bare(url: string): Promise<number> {
  const client = await connectAsync(url, { protocolVersion: 5, clean: true })
  const chunk = Buffer.alloc(chunkBytes, 7)
  const seconds = await taken('bare', url, async () => {
    for (let at = 0; at < imageBytes; at += chunkBytes) {
      for (let device = 0; device < devices; device++) {
        client.publish(`bare/d${device}`, chunk)
        if (client.stream.writableNeedDrain) await once(client.stream, 'drain')
      }
    }
  })
  await client.endAsync()
  return seconds
}

async function reflash(url: string): Promise<number> {
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
  const transport = mqttTransport({ url })
  await transport.serve({ gateway, authenticators })
  const seconds = await taken('reflash', url, () => {})
  await transport.close()
  await gateway.composition.close()
  return seconds
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number
const pairs: { readonly bare: number; readonly ours: number }[] = []
{
  await using broker = await startMosquitto()
  // Once each without counting, so that both are compiled.
  if (!quick) pairs.push({ bare: await bare(broker.url), ours: await reflash(broker.url) })
  pairs.length = 0
  for (let round = 0; round < rounds; round++) pairs.push({ bare: await bare(broker.url), ours: await reflash(broker.url) })
}
const rate = (seconds: number): number => (devices * imageBytes) / mebibyte / seconds
const result = {
  devices,
  imageMiB: imageBytes / mebibyte,
  bareMiBPerSecond: rate(median(pairs.map((pair) => pair.bare))),
  oursMiBPerSecond: rate(median(pairs.map((pair) => pair.ours))),
  ratio: median(pairs.map((pair) => pair.bare / pair.ours)),
}
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  const { bareMiBPerSecond, oursMiBPerSecond, ratio } = result
  console.log(
    `bare ${bareMiBPerSecond.toFixed(0)} MiB/s, ours ${oursMiBPerSecond.toFixed(0)} MiB/s, ratio ${ratio.toFixed(2)} (goal: at least 0.7)`,
  )
}
