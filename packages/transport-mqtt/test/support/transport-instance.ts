import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { tokenDevices } from '@reflash/core'
import type { Attack, KnownDevice, PullBench, PullClient, PullOffer, TransportInstance, TransportSettings } from '@reflash/core/conformance'
import { openLine } from '../../src/broker-line.ts'
import { checkBroker } from '../../src/broker-options.ts'
import { type MqttComponent, type MqttState, mqttClient } from '../../src/client/index.ts'
import { defaultMqttLimits, mqttTransport } from '../../src/index.ts'
import { encodeCheckIn } from '../../src/wire/check-in.ts'
import { connectPacket, publishPacket, rawConnection, subscribePacket } from './raw-mqtt.ts'
import { wiredBoard } from './wired-board.ts'

/** Who everybody is at the broker of these tests: the token in a message says who a device is. */
export const secrets = { username: 'reflash-server', password: 'a-password-that-nobody-sees' }
const limits = { retryMs: 80, silenceMs: 700, activateMs: 700, connectMs: 1_000, drainMs: 300, chunkBytes: 512, windowBytes: 2048 }
const clientLimits = { retryMs: 80, silenceMs: 700, connectMs: 1_000, requestBytes: 256 * 1024, chunkBytes: 16_384 }

/** The pull side, below one prefix of the broker. */
function pullBench(prefix: string, version: '5' | '3.1.1'): PullBench {
  const topicOf = (id: string, kind: string): string => `${prefix}/v1/up/${id}/${kind}`
  return {
    carries: ['model', 'installed', 'attributes', 'evidence', 'seq', 'digest', 'crc32', 'poll', 'reasons', 'cancel', 'reports', 'offset'],
    async client(address, { id, token }): Promise<PullClient> {
      const options = { url: address, version, prefix, limits: clientLimits, ...secrets }
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
    async raw(address, { id, token }) {
      const begin = (): Buffer => connectPacket(`raw-${randomBytes(6).toString('hex')}`, secrets.username, secrets.password)
      const listen = subscribePacket(`${prefix}/v1/down/${id}/#`)
      const state = { model: 'board', installed: { version: '1.0.0' } }
      const bytes = Buffer.concat([begin(), listen, publishPacket(topicOf(id, 'check-in'), encodeCheckIn({ re: 77, token, state }))])
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
    attacks: attacks(topicOf),
  }
}

const digest0 = `sha256:${'0'.repeat(64)}` as const

/** What only this wire makes possible. */
function attacks(topicOf: (id: string, kind: string) => string): readonly Attack[] {
  const publishing = (
    name: string,
    messages: (device: KnownDevice) => readonly (readonly [topic: string, payload: Uint8Array])[],
  ): Attack => ({
    name,
    async run(address, device) {
      const { socket } = rawConnection(address)
      socket.write(connectPacket(`attack-${randomBytes(6).toString('hex')}`, secrets.username, secrets.password))
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

/** A transport with a prefix of its own, and with all that its suite wants of it. */
export function transportInstance(url: string, version: '5' | '3.1.1') {
  return async ({ devices }: TransportSettings): Promise<TransportInstance> => {
    const prefix = `t-${randomBytes(6).toString('hex')}`
    const options = { url, version, prefix, ...secrets }
    const boards = Array.from({ length: 4 }, (_, index) => ({ id: `board-${index}-${prefix}`, token: `token-of-board-${index}` }))
    const known = Object.fromEntries([...devices, ...boards].map(({ id, token }) => [id, token]))
    const plugin = mqttTransport({ ...options, limits, authenticators: [tokenDevices(known)] })
    return {
      plugin,
      async agent() {
        const { id, token } = boards.shift() as KnownDevice
        return wiredBoard(id, options, token, 6_000)
      },
      pull: pullBench(prefix, version),
      secrets: [secrets.password],
      dispose: async () => plugin.close(),
    }
  }
}
