import { transportSuite } from '@reflash/core/conformance'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { mqttTransport } from '../../src/index.ts'
import { type MakeBroker, ownBroker, secrets, sharedBroker } from './bench-broker.ts'
import { type Mosquitto, mosquittoPath, startMosquitto } from './mosquitto.ts'
import { transportInstance } from './transport-instance.ts'

const options = { url: 'mqtts://broker.example', username: 'server', password: 'p', tls: {}, limits: { chunkBytes: 1024 } }

function suite(makeBroker: MakeBroker): void {
  transportSuite({ describe, it }, { make: transportInstance(makeBroker), factory: mqttTransport, options, timeoutMs: 10_000 })
}

/** The suite of the transport over Mosquitto; a file for each version of MQTT, so that both run at once. */
export function conformance(version: '5' | '3.1.1'): void {
  if (mosquittoPath === undefined && process.env.CI) throw new Error('expected mosquitto; install with: apt-get install mosquitto')
  describe.skipIf(mosquittoPath === undefined)(`mqttTransport over MQTT ${version}`, () => {
    let broker: Mosquitto
    beforeAll(async () => {
      broker = await startMosquitto({ users: { [secrets.username]: secrets.password } })
    })
    afterAll(() => broker[Symbol.asyncDispose]())
    suite((devices) => sharedBroker(broker.url, version)(devices))
  })
}

/** The suite of the transport over the embedded broker, which lets each device speak for itself alone. */
export function embeddedConformance(): void {
  describe('mqttTransport over the embedded broker', () => suite(ownBroker))
}
