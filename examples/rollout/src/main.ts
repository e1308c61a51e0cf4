import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { digestOf, streamOf } from '@reflash/core'
import { ociRegistry, pushArtifact } from '@reflash/registry-oci'
import { demoImage } from '@reflash/target-esp32/testing'
import { httpTransport } from '@reflash/transport-http'
import { updateDevice } from './device.ts'
import { rolloutServer } from './rollout-server.ts'

// Ten devices, three waves; the ninth breaks on the new image. `--broken <n>` lets the first n break, and the rollout stop early.
const broken = process.argv[2] === '--broken' ? Number(process.argv[3]) : undefined
const folder = await mkdtemp(join(tmpdir(), 'reflash-rollout-'))
const { gateway, authenticators, rollout } = rolloutServer(`oci:${folder}/releases`, folder)
const serving = await httpTransport({ listen: '127.0.0.1:0' }).serve({ gateway, authenticators })
try {
  const image = demoImage({ chip: 'esp32c3', version: '1.1.0' })
  const platform = { os: 'custom', architecture: 'esp32c3' }
  const file = { open: () => streamOf(image), size: image.length, digest: digestOf(image), title: 'lamp.bin', platform }
  await pushArtifact(ociRegistry(), `oci:${folder}/releases:1.1.0`, [file], { created: new Date() })
  const server = serving.addresses[0] as string
  const ids = Array.from({ length: 10 }, (_, index) => `lamp-${index + 1}`)
  const fails = (id: string): boolean => (broken === undefined ? id === 'lamp-9' : Number(id.slice(5)) <= broken)
  for (const id of ids) await updateDevice(server, id, fails(id))
  const failurePercent = broken === undefined ? 50 : 20
  await rollout.create({ id: 'lamp-1.1.0', version: '1.1.0', waves: [20, 50, 100], successPercent: 75, failurePercent }, { by: 'example' })
  const ticker = rollout.ticker()
  for (let state = 'running'; state === 'running'; ) {
    for (const step of (await ticker.tick()).steps) console.log(`${step.do}: ${step.because.map(({ message }) => message).join('; ')}`)
    // What a process knows of the fleet is at most a second old.
    await pause(1_100)
    for (const id of ids) console.log(await updateDevice(server, id, fails(id)))
    const deployment = await rollout.show('lamp-1.1.0')
    state = deployment.state
    console.log(`wave ${deployment.wave}, ${state}: ${JSON.stringify(deployment.counters)}`)
  }
} finally {
  await serving[Symbol.asyncDispose]()
  await gateway.composition.close()
  await rm(folder, { recursive: true })
}
