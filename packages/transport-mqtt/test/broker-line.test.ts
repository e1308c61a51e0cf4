import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, test, vi } from 'vitest'
import { type BrokerLine, openLine } from '../src/broker-line.ts'
import { checkBroker } from '../src/broker-options.ts'
import { defaultLineLimits } from '../src/limits.ts'
import { publishPacket } from './support/raw-mqtt.ts'

/** A line to a broker that takes no more than it is told to. */
async function stalledBroker() {
  const heard: Buffer[] = []
  let socket: Socket | undefined
  const server = createServer((connection) => {
    socket = connection
    connection.on('error', () => {})
    connection.once('data', () => {
      // CONNACK of MQTT 3.1.1: welcome, no session.
      connection.write(Uint8Array.of(0x20, 2, 0, 0))
      connection.pause()
      connection.on('data', (bytes) => heard.push(bytes))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const line = await openLine(checkBroker({ url: `mqtt://127.0.0.1:${port}`, version: '3.1.1' }), defaultLineLimits)
  return {
    line,
    heard: () => Buffer.concat(heard),
    goOn: () => socket?.resume(),
    break: () => socket?.destroy(),
    async [Symbol.asyncDispose]() {
      socket?.destroy()
      await line.close()
      server.close()
    },
  }
}

const chunk = Buffer.alloc(64 * 1024, 7)
/** More than all buffers of a loopback connection. */
const many = 400

/** Publishes in two pieces and in one, in turns; who has gone out, in which order. */
function publishMany(line: BrokerLine) {
  const done: number[] = []
  const failed: unknown[] = []
  const all = Array.from({ length: many }, async (_, index) => {
    const topic = `t/${index}`
    await (index % 2 === 0 ? line.publishPieces(topic, chunk.subarray(0, 16), chunk) : line.publish(topic, chunk, { qos: 0 })).then(
      () => done.push(index),
      (error: unknown) => failed.push(error),
    )
  })
  return { done, failed, all: Promise.all(all) }
}

test('messages wait for a broker that takes none, outside of memory, and go out whole and in their order', async () => {
  await using broker = await stalledBroker()
  const { done, all } = publishMany(broker.line)
  await new Promise((resolve) => setImmediate(resolve))
  expect(done.length).toBeLessThan(many)
  broker.goOn()
  await all
  expect(done).toEqual(Array.from({ length: many }, (_, index) => index))
  const expected = Buffer.concat(
    done.map((index) => publishPacket(`t/${index}`, index % 2 === 0 ? Buffer.concat([chunk.subarray(0, 16), chunk]) : chunk)),
  )
  await vi.waitFor(() => expect(broker.heard().length).toBe(expected.length), 5_000)
  expect(broker.heard().equals(expected)).toBe(true)
})

test('messages that wait for room are given up where the line breaks, each with an error', async () => {
  await using broker = await stalledBroker()
  const { done, failed, all } = publishMany(broker.line)
  await new Promise((resolve) => setImmediate(resolve))
  broker.break()
  await all
  expect(failed.length).toBe(many - done.length)
  expect(failed.length).toBeGreaterThan(0)
  for (const error of failed) expect(error).toMatchObject({ code: 'BROKER_UNREACHABLE', fault: 'unavailable' })
})

test('messages go on that waited while the client repeats what a broker that came back has not acknowledged yet', async () => {
  let connections = 0
  const packets: Buffer[] = []
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(Uint8Array.of(0x20, 2, 0, 0))
      // The first one goes when it has heard a message, the second acknowledges nothing.
      if (connections === 1) socket.once('data', () => socket.destroy())
      else socket.once('data', (bytes) => packets.push(bytes)).on('close', () => server.close())
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const limits = { ...defaultLineLimits, reconnectMs: 20 }
  const line = await openLine(checkBroker({ url: `mqtt://127.0.0.1:${port}`, version: '3.1.1' }), limits)
  await expect(line.publish('t', Buffer.from('begin'), { qos: 1 })).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
  await vi.waitFor(() => expect(packets[0]?.toString()).toContain('begin'), 5_000)
  expect(line.isConnected).toBe(true)
  const { done, failed, all } = publishMany(line)
  await all
  expect([done.length, failed.length]).toEqual([many, 0])
  await line.close()
})
