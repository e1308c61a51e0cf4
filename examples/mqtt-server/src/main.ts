import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, streamOf } from '@reflash/core'
import { generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { demoImage, virtualEsp32 } from '@reflash/target-esp32/testing'
import { mqttClient } from '@reflash/transport-mqtt/client'
import { updateDevice } from './update-device.ts'
import { updateServer } from './update-server.ts'

// One command: a signed release, a server with its own broker, and a virtual ESP32 that has nothing but MQTT.
const folder = await mkdtemp(join(tmpdir(), 'reflash-mqtt-'))
try {
  const image = demoImage({ chip: 'esp32c3', version: '1.1.0', sizeBytes: 256 * 1024 })
  const platform = { os: 'custom', architecture: 'esp32c3' }
  const file = { open: () => streamOf(image), size: image.length, digest: digestOf(image), title: 'lamp.bin', platform }
  const reference = `oci:${folder}/releases:1.1.0`
  const registry = ociRegistry()
  await pushArtifact(registry, reference, [file], { product: 'lamp', created: new Date() })
  const keys = await generateKeyPair('secret')
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))
  const repository = `oci:${folder}/releases`
  const settings = { repository, publicKey: keys.publicKeyPem, tokens: { 'lamp-1': 'a token' }, state: join(folder, 'state') }
  await using server = await updateServer({ ...settings, listen: '127.0.0.1:0' })
  console.log(`broker ${server.url}`)
  const chip = virtualEsp32({ chip: 'esp32c3', id: 'lamp-1' })
  chip.provision(demoImage({ chip: 'esp32c3', version: '1.0.0' }))
  chip.boot()
  const client = mqttClient({ url: server.url, version: '3.1.1', deviceId: chip.id, username: chip.id, password: 'a token' })
  const outcome = await updateDevice(chip, client, (line) => console.log(line))
  await client.close()
  await registry.close?.()
  console.log(outcome)
  process.exitCode = outcome === 'confirmed 1.1.0' ? 0 : 1
} finally {
  await rm(folder, { recursive: true })
}
