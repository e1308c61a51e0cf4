import { transportSuite } from '@reflash/core/conformance'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { mqttTransport } from '../src/index.ts'
import { type Mosquitto, mosquittoPath, startMosquitto } from './support/mosquitto.ts'
import { secrets, transportInstance } from './support/transport-instance.ts'

if (mosquittoPath === undefined && process.env.CI) throw new Error('expected mosquitto; install with: apt-get install mosquitto')

for (const version of ['5', '3.1.1'] as const) {
  describe.skipIf(mosquittoPath === undefined)(`mqttTransport over MQTT ${version}`, () => {
    let broker: Mosquitto
    beforeAll(async () => {
      broker = await startMosquitto({ users: { [secrets.username]: secrets.password } })
    })
    afterAll(() => broker[Symbol.asyncDispose]())

    transportSuite(
      { describe, it },
      {
        make: (settings) => transportInstance(broker.url, version)(settings),
        factory: mqttTransport,
        options: { url: 'mqtts://broker.example', username: 'server', password: 'p', tls: {}, limits: { chunkBytes: 1024 } },
        timeoutMs: 10_000,
      },
    )
  })
}
