import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { type AgentPort, createEngine, type OtaEvent, tokenDevices } from '@reflash/core'
import { memoryCache, memoryJournal } from '@reflash/core/testing'
import { expect, test, vi } from 'vitest'
import { type MqttClient, mqttClient } from '../src/client/index.ts'
import { brokerDevices, type MqttRecord, type MqttTransport, mqttTransport } from '../src/index.ts'
import { encodeReport } from '../src/wire/report.ts'
import { board } from './support/board.ts'
import { startMosquitto, subscriberPath } from './support/mosquitto.ts'
import { describeMosquitto } from './support/only-mosquitto.ts'
import { connectPacket, publishPacket, rawConnection } from './support/raw-mqtt.ts'
import { boardOf, gatewayOf, imageOf, options, tokenOf, updateOverMqtt } from './support/world.ts'

const run = promisify(execFile)
const versions = ['5', '3.1.1'] as const
const quick = { retryMs: 100, reconnectMs: 400 }

/** Calls `act` when something has happened so many times. */
function atCount(count: number, act: () => void): () => void {
  let seen = 0
  return () => {
    seen += 1
    if (seen === count) act()
  }
}

describeMosquitto.each(versions)('over Mosquitto with MQTT %s', (version) => {
  const clientOf = (url: string, deviceId: string, more = {}): MqttClient =>
    mqttClient({ url, version, deviceId, token: tokenOf(deviceId), limits: { ...quick, requestBytes: 16_384, chunkBytes: 4096 }, ...more })

  test('a device that has MQTT only updates and confirms by a token in its messages', async () => {
    await using broker = await startMosquitto()
    const gateway = gatewayOf()
    const transport = mqttTransport({ url: broker.url, version })
    await transport.serve({ gateway, authenticators: gateway.composition.authenticators })
    const client = clientOf(broker.url, 'd1')
    expect(await updateOverMqtt(client, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
    await client.close()
    await transport.close()
  })

  // After so many messages from the device: before its check-in is answered, in the download, and at its reports.
  test.each<readonly [kind: string, time: number]>([
    ['check-in', 1],
    ['image', 1],
    ['image', 3],
    ['image', 7],
    ['image', 13],
    ['image', 19],
    ['report', 1],
    ['report', 2],
  ])('the broker is killed at %s number %i of an update by pull, and the device confirms all the same', async (kind, time) => {
    await using broker = await startMosquitto()
    const gateway = gatewayOf()
    let restarted: Promise<void> | undefined
    const { pid } = broker
    const kinds: string[] = []
    const kill = (record: MqttRecord): void => {
      kinds.push(record.kind)
      const isTime = record.kind === kind && kinds.filter((one) => one === kind).length === time
      if (isTime) restarted ??= broker.kill().then(broker.start)
    }
    const transport = mqttTransport({ url: broker.url, version, limits: quick, onRecord: kill })
    await transport.serve({ gateway, authenticators: gateway.composition.authenticators })
    const client = clientOf(broker.url, 'd1')
    expect(await updateOverMqtt(client, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
    expect(restarted, 'expected that the broker was killed').toBeDefined()
    await restarted
    expect(broker.pid).not.toBe(pid)
    await client.close()
    await transport.close()
  })

  test.each(['begin', 'write 8192', 'write 131072', 'write 262144', 'activate'])(
    'the broker is killed at "%s" of a push, and the push ends confirmed',
    async (call) => {
      await using broker = await startMosquitto()
      const device = boardOf('d1')
      let restarted: Promise<void> | undefined
      const { port } = device
      const at = (name: string): void => {
        if (name === call) restarted ??= broker.kill().then(broker.start)
      }
      const watched: AgentPort = {
        ...port,
        begin: async (...args) => {
          at('begin')
          return port.begin(...args)
        },
        write: async (...args) => {
          at(`write ${args[0]}`)
          return port.write(...args)
        },
        activate: async (...args) => {
          at('activate')
          return port.activate(...args)
        },
      }
      const client = clientOf(broker.url, 'd1')
      const activated = (): void => {
        device.restart()
        device.keep()
      }
      await client.serveAgent({ port: watched, activated })
      const composed = options()
      const transport = mqttTransport({ url: broker.url, version, limits: quick, authenticators: composed.authenticators })
      const engine = createEngine({ ...composed, transports: [transport], lookAgainMs: 20 })
      const { outcome } = await engine.update({ id: 'd1', model: 'board' })
      expect(outcome).toBe('confirmed')
      expect(restarted, 'expected that the broker was killed').toBeDefined()
      await restarted
      expect(device.state().installed).toMatchObject({ version: '1.1.0', state: 'confirmed' })
      await client.close()
      await engine.composition.close()
    },
  )

  test('a device that restarts in the middle of a push goes on from what it has stored', async () => {
    await using broker = await startMosquitto()
    const device = boardOf('d1')
    const limits = { ...quick, windowBytes: 16_384 }
    const restart = atCount(20, () => {
      device.restart()
      void serving[Symbol.asyncDispose]().then(serve)
    })
    const write: typeof device.port.write = async (...args) => {
      restart()
      return device.port.write(...args)
    }
    const client = clientOf(broker.url, 'd1')
    let serving: AsyncDisposable
    const serve = async (): Promise<void> => {
      serving = await client.serveAgent({ port: { ...device.port, write }, activated: device.keep })
    }
    await serve()
    const composed = options()
    const transport = mqttTransport({ url: broker.url, version, limits, authenticators: composed.authenticators })
    const engine = createEngine({ ...composed, transports: [transport], lookAgainMs: 20 })
    // Where the restart has cost bytes that were acknowledged, the push says so, and the next one goes on.
    const first = await engine.update({ id: 'd1', model: 'board' }).catch((error: { code: string }) => error.code)
    if (typeof first === 'string') expect(first).toBe('AGENT_BUSY')
    const { outcome } = typeof first === 'string' ? await engine.update({ id: 'd1', model: 'board' }) : first
    expect(outcome).toBe('confirmed')
    expect(device.calls.filter((name) => name === 'write 0')).toHaveLength(1)
    await client.close()
    await engine.composition.close()
  })

  test('two servers with a shared subscription offer each device one update once', async () => {
    await using broker = await startMosquitto()
    const devices = Array.from({ length: 40 }, (_, index) => `d${index}`)
    const shared = options({ devices, journal: memoryJournal() })
    const offers = new Map<string, number>()
    const served = [0, 0]
    const onEvent = (event: OtaEvent): void => {
      if (event.type !== 'device' || event.stage !== 'plan' || event.status !== 'passed') return
      offers.set(event.deviceId, (offers.get(event.deviceId) ?? 0) + 1)
    }
    const replicas = await Promise.all(
      [0, 1].map(async (index) => {
        const gateway = gatewayOf({ ...shared, devices, cache: memoryCache(), onEvent })
        const count = (): void => {
          served[index] = (served[index] ?? 0) + 1
        }
        const transport = mqttTransport({ url: broker.url, version, share: 'replicas', onRecord: count })
        await transport.serve({ gateway, authenticators: shared.authenticators })
        return transport
      }),
    )
    // Patient, so that nobody asks again because this machine is busy.
    const clients = devices.map((id) => clientOf(broker.url, id, { limits: { retryMs: 20_000 } }))
    // Each asks three times at once, as one does whose answers are late.
    const told = await Promise.all(
      clients.map(async (client) => {
        const answers = await Promise.all([1, 2, 3].map(() => client.checkIn({ model: 'board', installed: { version: '1.0.0' } })))
        return answers.map(({ offer }) => offer?.seq)
      }),
    )
    expect(told).toEqual(devices.map(() => [1, 1, 1]))
    expect([...offers.values()]).toEqual(devices.map(() => 1))
    expect(served[0]).toBeGreaterThan(0)
    expect(served[1]).toBeGreaterThan(0)
    // Each message came to one of them; what they note of it comes after the answer.
    await vi.waitFor(() => expect((served[0] ?? 0) + (served[1] ?? 0)).toBe(devices.length * 3))
    const done = await Promise.all(clients.map((client, index) => updateOverMqtt(client, boardOf(devices[index] as string))))
    expect(new Set(done)).toEqual(new Set(['UP_TO_DATE 1.1.0 confirmed']))
    await Promise.all([...clients.map((client) => client.close()), ...replicas.map((transport) => transport.close())])
  })

  test("OtaFlux's notification arrives at mosquitto_sub as OtaFlux sends it: topic, payload, QoS 1, retained", async () => {
    await using broker = await startMosquitto()
    const transport = mqttTransport({ url: broker.url, version, otafluxTopic: 'firmware/notify' })
    await transport.announce('sensor-1', { version: '1.0.0', size: 942_320 })
    // Subscribed after it was sent: only what is retained comes.
    const { stdout } = await run(subscriberPath ?? '', [
      ...['-h', '127.0.0.1', '-p', String(broker.port), '-t', 'firmware/notify/#', '-q', '1', '-C', '1', '-W', '5'],
      ...['-F', '%t %q %r %p'],
    ])
    expect(stdout.trim()).toBe('firmware/notify/sensor-1 1 1 {"version":"1.0.0","size":942320}')
    await transport.close()
  })

  test('what somebody has left at the broker to be heard at every start is not heard', async () => {
    await using broker = await startMosquitto()
    const gateway = gatewayOf()
    const report = encodeReport({ re: 1, token: tokenOf('d1'), seq: 1, report: { state: 'failed' } })
    const { socket, heard } = rawConnection(broker.url)
    const retained = ['report', 'check-in'].map((kind) => publishPacket(`reflash/v1/up/d1/${kind}`, report, true))
    socket.write(Buffer.concat([connectPacket('raw'), ...retained, Uint8Array.of(0xc0, 0)]))
    // CONNACK and PINGRESP: what came before is at the broker.
    while (heard().length < 6) await once(socket, 'data')
    socket.destroy()
    const records: string[] = []
    const transport = mqttTransport({ url: broker.url, version, onRecord: ({ kind }) => records.push(kind) })
    await transport.serve({ gateway, authenticators: gateway.composition.authenticators })
    const client = clientOf(broker.url, 'd1')
    await client.checkIn({ model: 'board', installed: { version: '1.0.0' } })
    await vi.waitFor(() => expect(records).toEqual(['check-in']))
    await client.close()
    await transport.close()
  })

  test('a device hears that a version is there', async () => {
    await using broker = await startMosquitto()
    const transport = mqttTransport({ url: broker.url, version })
    const client = clientOf(broker.url, 'd+1')
    const heard = Promise.withResolvers<unknown>()
    await client.onNotice(heard.resolve)
    await transport.announce('d+1', { version: '1.1.0', size: 5 })
    expect(await heard.promise).toEqual({ version: '1.1.0', size: 5 })
    await client.close()
    await transport.close()
  })
})

describeMosquitto('with an access list', () => {
  const acl = ['user server', 'topic readwrite reflash/#', 'pattern write reflash/v1/up/%u/#', 'pattern read reflash/v1/down/%u/#']
  const users = { server: 'server-password', d1: 'password-1', d2: 'password-2' }
  const server = { username: 'server', password: users.server }

  test.each(versions)('the broker says who a device is, and lets none speak for another (MQTT %s)', async (version) => {
    await using broker = await startMosquitto({ acl, users })
    const gateway = gatewayOf()
    const transport = mqttTransport({ url: broker.url, version, ...server })
    await transport.serve({ gateway, authenticators: [brokerDevices()] })
    const limits = { ...quick, silenceMs: 600 }
    const thief = mqttClient({ url: broker.url, version, deviceId: 'd1', username: 'd2', password: users.d2, limits })
    await expect(thief.checkIn()).rejects.toMatchObject({ fault: 'unavailable' })
    const honest = mqttClient({ url: broker.url, version, deviceId: 'd1', username: 'd1', password: users.d1, limits })
    expect(await updateOverMqtt(honest, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
    await Promise.all([thief.close(), honest.close(), transport.close()])
  })

  test('a wrong password is refused at once, and no error shows it', async () => {
    await using broker = await startMosquitto({ acl, users })
    const wrong = mqttTransport({
      url: broker.url,
      username: 'server',
      password: 'hunter2-wrong',
      authenticators: [tokenDevices({ d1: 't' })],
    })
    const error = await wrong.connect({ id: 'd1' }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'BROKER_REFUSED', fault: 'rejected' })
    expect(`${JSON.stringify(error)}${String((error as Error).stack)}${String((error as Error).cause)}`).not.toContain('hunter2')
    await wrong.close()
  })
})

describeMosquitto('with a hundred devices', () => {
  test('all update while the server holds no more than its budget of images', async () => {
    await using broker = await startMosquitto()
    const devices = Array.from({ length: 100 }, (_, index) => `d${index}`)
    const gateway = gatewayOf({ devices })
    let [failed, held, peak] = [0, 0, 0]
    const onRecord = ({ kind, code, bytes = 0 }: MqttRecord): void => {
      if (code !== undefined) failed += 1
      if (kind === 'image') held -= bytes
    }
    const read: typeof gateway.read = async (...asked) => {
      const answer = await gateway.read(...asked)
      held += asked[3]?.length ?? 0
      peak = Math.max(peak, held)
      return answer
    }
    const limits = { bufferBytes: 256 * 1024, concurrency: 8 }
    const transport: MqttTransport = mqttTransport({ url: broker.url, limits, onRecord })
    await transport.serve({ gateway: { ...gateway, read }, authenticators: gateway.composition.authenticators })
    const clients = devices.map((deviceId) => mqttClient({ url: broker.url, deviceId, token: tokenOf(deviceId) }))
    const boards = devices.map((id) => board(id, imageOf('1.0.0', 100)))
    const done = await Promise.all(clients.map((client, index) => updateOverMqtt(client, boards[index] as ReturnType<typeof board>)))
    expect(new Set(done)).toEqual(new Set(['UP_TO_DATE 1.1.0 confirmed']))
    expect(failed).toBe(0)
    // What is held is recorded a moment after it was given back, when the next has it already: twice the budget at most. Eight at once would be eight times.
    expect(peak).toBeGreaterThan(limits.bufferBytes / 4)
    expect(peak).toBeLessThanOrEqual(2 * limits.bufferBytes)
    await Promise.all([...clients.map((client) => client.close()), transport.close()])
  }, 60_000)
})
