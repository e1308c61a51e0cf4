import { describe, expect, test } from 'vitest'
import { createBufferPool } from '../../src/adapter/buffer-pool.ts'
import { seeded } from '../started.ts'

const kib = 1024

describe('the buffer pool', () => {
  test('gives the smallest buffer that holds what is wanted, and the largest for more', async () => {
    const pool = createBufferPool(1024 * kib)
    const sizes: number[] = []
    for (const wanted of [1, 16 * kib, 16 * kib + 1, 64 * kib, 65 * kib, 256 * kib, 10_000 * kib])
      sizes.push((await pool.take(wanted)).length / kib)
    expect(sizes).toEqual([16, 16, 32, 64, 128, 256, 256])
  })

  test('uses a returned buffer again', async () => {
    const pool = createBufferPool(1024 * kib)
    const buffer = await pool.take(64 * kib)
    pool.give(buffer)
    expect(await pool.take(64 * kib)).toBe(buffer)
    expect(pool.bytes).toBe(256 * kib)
  })

  test('gives a smaller one before it lets anybody wait, and then the next that comes free, in order of asking', async () => {
    const pool = createBufferPool(512 * kib)
    const large = await pool.take(256 * kib)
    const small = await pool.take(16 * kib)
    const sizes: number[] = []
    for (let turn = 0; turn < 4; turn++) sizes.push((await pool.take(256 * kib)).length / kib)
    expect(sizes).toEqual([128, 64, 32, 16])
    const order: string[] = []
    const waiting = ['first', 'second'].map(async (name) => {
      const buffer = await pool.take(256 * kib)
      order.push(name)
      return buffer
    })
    pool.give(small)
    expect(await waiting[0]).toBe(small)
    pool.give(large)
    expect(await waiting[1]).toBe(large)
    expect(order).toEqual(['first', 'second'])
  })

  test('never lets a late one pass those who wait', async () => {
    const pool = createBufferPool(256 * kib)
    const buffers = [await pool.take(256 * kib)]
    const first = pool.take(16 * kib)
    const late = pool.take(16 * kib)
    pool.give(buffers[0] as Buffer)
    await first
    pool.give(await first)
    expect((await late).length).toBe(256 * kib)
  })

  test('halves its memory for small buffers and puts it together again for large ones', async () => {
    const pool = createBufferPool(512 * kib)
    const small = await Promise.all(Array.from({ length: 32 }, () => pool.take(16 * kib)))
    expect([pool.bytes, pool.takenBytes]).toEqual([512 * kib, 512 * kib])
    // No two of them share a byte.
    for (const [index, buffer] of small.entries()) buffer.fill(index)
    expect(small.every((buffer, index) => buffer.every((byte) => byte === index))).toBe(true)
    const below = seeded(5)
    const [kept, ...rest] = small as [Buffer, ...Buffer[]]
    while (rest.length > 0) pool.give(rest.splice(below(rest.length), 1)[0] as Buffer)
    expect((await pool.take(256 * kib)).length).toBe(256 * kib)
    expect((await pool.take(256 * kib)).length).toBe(128 * kib)
    expect([kept.length, pool.bytes]).toEqual([16 * kib, 512 * kib])
  })

  test('keeps all of its memory while somebody reads, and a quarter of it between downloads', async () => {
    const pool = createBufferPool(1024 * kib)
    const buffers = await Promise.all(Array.from({ length: 4 }, () => pool.take(256 * kib)))
    for (const buffer of buffers.slice(1)) pool.give(buffer)
    expect(pool.bytes).toBe(1024 * kib)
    pool.give(buffers[0] as Buffer)
    expect([pool.bytes, pool.takenBytes]).toEqual([256 * kib, 0])
  })

  test('takes no buffer twice, and none that is not its own', async () => {
    const pool = createBufferPool(256 * kib)
    const buffer = await pool.take(16 * kib)
    pool.give(buffer)
    expect(() => pool.give(buffer)).toThrow('expected a buffer that was taken')
    expect(() => pool.give(Buffer.alloc(16 * kib))).toThrow('expected a buffer that was taken')
  })

  test('stays within its limit and loses nothing over 20,000 random turns', async () => {
    const limit = 1024 * kib
    const pool = createBufferPool(limit)
    const below = seeded(3)
    const held: Buffer[] = []
    let waiting = 0
    for (let turn = 0; turn < 20_000; turn++) {
      if (below(2) === 0 && waiting < 50) {
        waiting++
        void pool.take(below(300 * kib)).then((buffer) => {
          waiting--
          held.push(buffer)
        })
      } else if (held.length > 0) {
        const [buffer] = held.splice(below(held.length), 1) as [Buffer]
        pool.give(buffer)
      }
      if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      expect(pool.bytes).toBeLessThanOrEqual(limit)
      expect(pool.bytes).toBeGreaterThanOrEqual(pool.takenBytes)
    }
    while (held.length > 0 || waiting > 0) {
      for (const buffer of held.splice(0)) pool.give(buffer)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect([pool.takenBytes, pool.bytes]).toEqual([0, limit / 4])
  })
})
