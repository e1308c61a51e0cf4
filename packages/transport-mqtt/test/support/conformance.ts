import { transportSuite } from '@reflash/core/conformance'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { mqttTransport } from '../../src/index.ts'
import { type Mosquitto, mosquittoPath, startMosquitto } from './mosquitto.ts'
import { secrets, transportInstance } from './transport-instance.ts'

if (mosquittoPath === undefined && process.env.CI) throw new Error('expected mosquitto; install with: apt-get install mosquitto')

/** The suite of the transport over Mosquitto; a file for each version of MQTT, so that both run at once. */
export function conformance(version: '5' | '3.1.1'): void {
  describe.skipIf(mosquittoPath === undefined)(`mqttTransport over MQTT ${version}`, () => {
    let broker: Mosquitto
    beforeAll(async () => {
      broker = await startMosquitto({ users: { [secrets.username]: secrets.password } })
    })
    afterAll(() => broker[Symbol.asyncDispose]())
    const make = (settings: Parameters<ReturnType<typeof transportInstance>>[0]) => transportInstance(broker.url, version)(settings)
    const options = { url: 'mqtts://broker.example', username: 'server', password: 'p', tls: {}, limits: { chunkBytes: 1024 } }
    transportSuite({ describe, it }, { make, factory: mqttTransport, options, timeoutMs: 10_000 })
  })
}
