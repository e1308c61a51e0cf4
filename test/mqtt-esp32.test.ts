import { createGateway, digestOf, tokenDevices, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal, memoryRegistry } from '@reflash/core/testing'
import { esp32Target } from '@reflash/target-esp32'
import { demoImage, virtualEsp32 } from '@reflash/target-esp32/testing'
import { mqttTransport } from '@reflash/transport-mqtt'
import { mqttClient } from '@reflash/transport-mqtt/client'
import { describe, expect, test } from 'vitest'
import { updateDevice } from '../examples/mqtt-server/src/update-device.ts'
import { mosquittoPath, startMosquitto } from '../packages/transport-mqtt/test/support/mosquitto.ts'

if (mosquittoPath === undefined && process.env.CI) throw new Error('expected mosquitto; install with: apt-get install mosquitto')

const repository = 'registry.test/fw/lamp'
const image = demoImage({ chip: 'esp32s3', version: '1.1.0', sizeBytes: 512 * 1024 })

// After so many messages of the device: in its check-in, in its download, at its reports.
const moments = [1, 3, 9, 20, 30, 34, 35]

describe.skipIf(mosquittoPath === undefined).each(['5', '3.1.1'] as const)('a virtual ESP32 with MQTT %s only', (version) => {
  test.each(moments)('updates and confirms though the broker is killed at its message %i', async (moment) => {
    await using broker = await startMosquitto()
    const registry = memoryRegistry()
    registry.addArtifact(repository, { content: image, tag: '1.1.0', version: '1.1.0' })
    const authenticators = [tokenDevices({ 'lamp-1': 'a token' })]
    const gateway = createGateway({
      repository,
      registry,
      verifiers: [unsignedArtifacts()],
      targets: [esp32Target()],
      authenticators,
      attestation: [unattestedDevices()],
      journal: memoryJournal(),
      cache: memoryCache(),
    })
    let seen = 0
    let restarted: Promise<void> | undefined
    const limits = { retryMs: 100, reconnectMs: 400 }
    const onRecord = (): void => {
      seen += 1
      if (seen === moment) restarted = broker.kill().then(broker.start)
    }
    const transport = mqttTransport({ url: broker.url, version, limits, onRecord })
    await transport.serve({ gateway, authenticators })
    const chip = virtualEsp32({ chip: 'esp32s3', id: 'lamp-1' })
    chip.provision(demoImage({ chip: 'esp32s3', version: '1.0.0' }))
    chip.boot()
    const client = mqttClient({
      url: broker.url,
      version,
      deviceId: 'lamp-1',
      token: 'a token',
      limits: { ...limits, requestBytes: 16_384 },
    })
    expect(await updateDevice(chip, client)).toBe('confirmed 1.1.0')
    expect(restarted, 'expected that the broker was killed').toBeDefined()
    await restarted
    expect(chip.state().installed).toMatchObject({ version: '1.1.0', state: 'confirmed', digest: digestOf(image) })
    expect(chip.flash.misuses).toBe(0)
    await client.close()
    await transport.close()
    await gateway.composition.close()
  })
})
