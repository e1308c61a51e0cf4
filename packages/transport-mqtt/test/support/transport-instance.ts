import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { tokenDevices } from '@reflash/core'
import type {
  Attack,
  Caller,
  KnownDevice,
  PullBench,
  PullClient,
  PullOffer,
  TransportInstance,
  TransportSettings,
} from '@reflash/core/conformance'
import { openLine } from '../../src/broker-line.ts'
import { checkBroker } from '../../src/broker-options.ts'
import { type MqttComponent, type MqttState, mqttClient } from '../../src/client/index.ts'
import { defaultMqttLimits, mqttTransport } from '../../src/index.ts'
import { encodeCheckIn } from '../../src/wire/check-in.ts'
import type { BenchBroker, MakeBroker } from './bench-broker.ts'
import { connectPacket, publishPacket, rawConnection, subscribePacket } from './raw-mqtt.ts'
import { wiredBoard } from './wired-board.ts'

const limits = { retryMs: 80, silenceMs: 700, activateMs: 700, connectMs: 1_000, drainMs: 300, chunkBytes: 512, windowBytes: 2048 }
// Patient: what is asked again because this machine is busy comes twice, and the second time behind what was said next.
const clientLimits = { retryMs: 300, silenceMs: 700, connectMs: 1_000, requestBytes: 256 * 1024, chunkBytes: 16_384 }

/** The pull side, below the prefix of the broker. */
function pullBench({ place, loginOf }: BenchBroker): PullBench {
  const { prefix } = place
  const connecting = (caller: Caller, name: string): Buffer => {
    const { username, password } = loginOf(caller)
    return connectPacket(`${name}-${randomBytes(6).toString('hex')}`, username, password)
  }
  const topicOf = (id: string, kind: string): string => `${prefix}/v1/up/${id}/${kind}`
  return {
    carries: ['model', 'installed', 'attributes', 'evidence', 'seq', 'digest', 'crc32', 'poll', 'reasons', 'cancel', 'reports', 'offset'],
    async client(address, caller): Promise<PullClient> {
      const { id, token } = caller
      const options = { ...place, url: address, limits: clientLimits, ...loginOf(caller) }
      const client = mqttClient({ ...options, deviceId: id, ...(token === undefined ? {} : { token }) })
      const heard: Uint8Array[] = []
      const tap = await openLine(checkBroker(options), defaultMqttLimits)
      tap.onMessage((_, payload) => heard.push(payload))
      await tap.subscribe(`${prefix}/v1/down/${id}/#`)
      const offers = new Map<number, MqttComponent>()
      return {
        async checkIn(said, callOptions) {
          const { offer, ...rest } = await client.checkIn(said as MqttState, callOptions)
          const component = offer?.components[0]
          if (offer === undefined || component === undefined) return rest
          const { seq, version: offered } = offer
          offers.set(seq, component)
          const { size, digest, crc32 } = component
          return { ...rest, offer: { seq, version: offered, size, digest, crc32 } }
        },
        image({ seq = 0, size }: PullOffer, how = {}) {
          const unknown = { component: 'app', yields: digest0, size, digest: digest0, crc32: 0, fileName: 'app' }
          return client.download({ seq }, offers.get(seq) ?? unknown, how)
        },
        report: (seq, report, callOptions) => client.report(seq, report, callOptions),
        heard: () => Buffer.concat(heard),
        async close() {
          await client.close()
          await tap.close()
        },
      }
    },
    async raw(address, device) {
      const { id, token } = device
      const listen = subscribePacket(`${prefix}/v1/down/${id}/#`)
      const state = { model: 'board', installed: { version: '1.0.0' } }
      const bytes = Buffer.concat([
        connecting(device, 'raw'),
        listen,
        publishPacket(topicOf(id, 'check-in'), encodeCheckIn({ re: 77, token, state })),
      ])
      return {
        bytes,
        async send(sent, { pieceBytes = sent.length } = {}) {
          const { socket, heard, closed } = rawConnection(address)
          for (let at = 0; at < sent.length; at += Math.max(pieceBytes, 1)) {
            socket.write(sent.subarray(at, at + pieceBytes))
            await new Promise(setImmediate)
          }
          const answered = async (): Promise<void> => {
            for (let waited = 0; waited < 400 && !heard().includes('/answer'); waited += 10) await pause(10)
          }
          await Promise.race([closed, answered()])
          socket.destroy()
        },
        async hold(sent) {
          const { socket } = rawConnection(address)
          socket.write(sent)
          await pause(20)
          return async () => void socket.destroy()
        },
      }
    },
    attacks: attacks(topicOf, (device) => connecting(device, 'attack')),
  }
}

const digest0 = `sha256:${'0'.repeat(64)}` as const

/** What only this wire makes possible. */
function attacks(topicOf: (id: string, kind: string) => string, connecting: (device: KnownDevice) => Buffer): readonly Attack[] {
  const publishing = (
    name: string,
    messages: (device: KnownDevice) => readonly (readonly [topic: string, payload: Uint8Array])[],
  ): Attack => ({
    name,
    async run(address, device) {
      const { socket } = rawConnection(address)
      socket.write(connecting(device))
      for (const [topic, payload] of messages(device)) socket.write(publishPacket(topic, payload))
      await pause(50)
      socket.destroy()
    },
  })
  const text = (value: string): Uint8Array => Buffer.from(value)
  const token = (device: KnownDevice, more: string): Uint8Array => text(`{"re":1,"token":${JSON.stringify(device.token)}${more}}`)
  return [
    publishing('payloads that are no JSON', ({ id }) =>
      Array.from({ length: 200 }, (_, index) => [topicOf(id, 'check-in'), randomBytes(index)]),
    ),
    publishing('a payload of a megabyte', ({ id }) => [[topicOf(id, 'check-in'), randomBytes(1 << 20)]]),
    publishing('a member twice', (device) => [[topicOf(device.id, 'check-in'), token(device, ',"re":2')]]),
    publishing('a device that is no id', (device) => [
      [topicOf('..', 'check-in'), token(device, '')],
      [topicOf('', 'check-in'), token(device, '')],
      [topicOf('%2e', 'check-in'), token(device, '')],
    ]),
    publishing('kinds that nobody knows', (device) => [
      [topicOf(device.id, 'format'), token(device, '')],
      [topicOf(device.id, 'check-in/again'), token(device, '')],
    ]),
    publishing('images that are too long', (device) => [
      [topicOf(device.id, 'image'), token(device, ',"seq":7,"component":"app","offset":0,"length":1e9,"chunkBytes":256')],
      [topicOf(device.id, 'image'), token(device, ',"seq":7,"component":"../app","offset":0,"length":1,"chunkBytes":256')],
      [topicOf(device.id, 'image'), token(device, ',"seq":7,"component":"app","offset":-1,"length":1,"chunkBytes":256')],
    ]),
  ]
}

/** A transport at a broker of its own, or with a prefix of its own, and with all that its suite wants of it. */
export function transportInstance(makeBroker: MakeBroker) {
  return async ({ devices }: TransportSettings): Promise<TransportInstance> => {
    const mark = randomBytes(6).toString('hex')
    const boards = Array.from({ length: 4 }, (_, index) => ({ id: `board-${index}-${mark}`, token: `token-of-board-${index}` }))
    const known = [...devices, ...boards]
    const broker = await makeBroker(known)
    const { place, server, loginOf } = broker
    const authenticators = [tokenDevices(Object.fromEntries(known.map(({ id, token }) => [id, token])))]
    const plugin = mqttTransport({ ...place, ...server, limits, authenticators })
    return {
      plugin,
      async agent() {
        const device = boards.shift() as KnownDevice
        return wiredBoard(device.id, { ...place, ...loginOf(device) }, device.token, 6_000)
      },
      pull: pullBench(broker),
      secrets: [server.password ?? ''],
      async dispose() {
        await plugin.close()
        await broker.dispose()
      },
    }
  }
}
