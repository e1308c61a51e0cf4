import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { slowReaders } from '../../src/broker/slow-readers.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

/** A socket with so many bytes in it, and the client that the broker makes for it. */
function full(readers: ReturnType<typeof slowReaders>, bytes: number) {
  const state = { writableLength: bytes, bytesWritten: bytes, destroyed: false, _handle: { writeQueueSize: bytes } }
  const socket = Object.assign(new EventEmitter(), state, {
    destroy() {
      socket.destroyed = true
      socket.emit('close')
    },
  })
  const client = { waitForDrain: (_done: () => void) => {} }
  readers.watch(client, socket as unknown as Socket)
  const wait = () => new Promise<void>((resolve) => client.waitForDrain(() => resolve()))
  return { socket, wait, hasRoom: (isServer = false) => readers.hasRoom(socket as unknown as Socket, isServer) }
}

test('the broker goes on at once where a socket is full', async () => {
  const { wait } = full(slowReaders(), 100_000)
  await wait()
})

test('who takes a byte now and then is kept, who takes none is cut, and who has caught up is left alone', async () => {
  const readers = slowReaders()
  const [slow, stalled, quick] = [full(readers, 500_000), full(readers, 500_000), full(readers, 500_000)]
  for (const { wait } of [slow, stalled, quick]) await wait()
  quick.socket.writableLength = 0
  quick.socket.emit('drain')
  for (let times = 1; times <= 3; times++) {
    slow.socket.writableLength -= 1
    vi.advanceTimersByTime(30_000)
  }
  expect([slow, stalled, quick].map(({ socket }) => socket.destroyed)).toEqual([false, true, false])
})

test('what waits is bounded for each and for all together, and one that reads has room beside those that do not', async () => {
  const readers = slowReaders()
  const one = full(readers, 768 * 1024)
  expect([one.hasRoom(), one.hasRoom(true)]).toEqual([false, true])
  one.socket.writableLength -= 1
  expect(one.hasRoom()).toBe(true)
  const many = Array.from({ length: 90 }, () => full(readers, 760 * 1024))
  for (const { wait } of [one, ...many]) await wait()
  expect([one, ...many].map(({ hasRoom }) => hasRoom())).toEqual(Array(91).fill(false))
  expect(full(readers, 0).hasRoom()).toBe(true)
  for (const { socket } of many) socket.destroy()
  expect(one.hasRoom()).toBe(true)
})

test('who takes one large write bit by bit, for longer than a stall may last, is kept', async () => {
  const { socket, wait } = full(slowReaders(), 500_000)
  await wait()
  for (let times = 1; times <= 3; times++) {
    socket._handle.writeQueueSize -= 100_000
    vi.advanceTimersByTime(30_000)
  }
  expect(socket.destroyed).toBe(false)
  vi.advanceTimersByTime(30_000)
  expect(socket.destroyed).toBe(true)
})
