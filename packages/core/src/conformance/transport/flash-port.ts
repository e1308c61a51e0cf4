import { ok, strictEqual } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { FlashPort } from '../../plugin/ports.ts'
import { contextOf, expectBytes, sampleBytes } from '../content.ts'
import { refused } from '../refusal.ts'
import type { FlashDevice, TransportRule } from '../transport-suite.ts'
import { within } from '../within.ts'
import { reach } from './connecting.ts'
import { type PushStand, pushRules } from './push-stand.ts'

const rule = pushRules('flash')
const flashAt = (stand: PushStand): FlashDevice => stand.device as FlashDevice
const portOf = async (stand: PushStand): Promise<FlashPort> => (await reach(stand)).port as FlashPort

/** Holds that flash is as it was but for one place. */
async function onlyChanged(what: string, device: FlashDevice, before: Uint8Array, offset: number, bytes: Uint8Array): Promise<void> {
  const expected = before.slice()
  expected.set(bytes, offset)
  expectBytes(`${what}: the flash`, await device.content(), expected)
}

/** What a port `flash` carries. */
export const flashPortRules: readonly TransportRule[] = [
  rule('reads', 'reads what is in flash, at any place and of any length', async (stand, { stepMs }) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    const content = await device.content()
    const { blockBytes } = device
    const ranges = [
      [0, 1],
      [1, 3],
      [7, 64],
      [blockBytes - 5, 10],
      [blockBytes, blockBytes],
      [content.length - 3, 3],
      [0, Math.min(content.length, 3 * blockBytes + 1)],
    ] as const
    for (const [offset, length] of ranges) {
      const found = await within(stepMs, 'read()', port.read(offset, length, contextOf()))
      expectBytes(`read(${offset}, ${length})`, found, content.subarray(offset, offset + length))
    }
    const first = await port.read(0, 64, contextOf())
    await port.read(64, 64, contextOf())
    expectBytes('what was read before', first, content.subarray(0, 64))
  }),
  rule('erases', 'erases whole blocks, and nothing beside them', async (stand) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    const { blockBytes } = device
    const before = await device.content()
    await port.erase(blockBytes, 2 * blockBytes, contextOf())
    await onlyChanged('after erase()', device, before, blockBytes, new Uint8Array(2 * blockBytes).fill(0xff))
  }),
  rule('writes', 'writes bytes to their place, of any length, and nothing beside them', async (stand, { stepMs }) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    const { blockBytes } = device
    await port.erase(blockBytes, 3 * blockBytes, contextOf())
    for (const [offset, length] of [
      [blockBytes, 1],
      [blockBytes + 5, 3],
      [blockBytes + 64, 256],
      [2 * blockBytes - 9, blockBytes + 10],
    ] as const) {
      const before = await device.content()
      const bytes = sampleBytes(length, offset)
      await within(stepMs, 'write()', port.write(offset, bytes, contextOf()))
      await onlyChanged(`after write(${offset}, ${length} bytes)`, device, before, offset, bytes)
    }
  }),
  rule('clears-bits', 'turns bits from 1 to 0 only', async (stand) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    const at = device.blockBytes
    await port.erase(at, device.blockBytes, contextOf())
    await port.write(at, Uint8Array.of(0xf0, 0x0f, 0xff, 0xaa), contextOf())
    await port.write(at, Uint8Array.of(0x3c, 0xff, 0x00, 0xaa), contextOf())
    expectBytes('the flash', (await device.content()).subarray(at, at + 4), Uint8Array.of(0x30, 0x0f, 0x00, 0xaa))
  }),
  rule('md5', 'says the MD5 of what is in flash now', async (stand, { skip }) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    if (port.md5 === undefined) return skip('the port has no md5()')
    const { blockBytes } = device
    const check = async (offset: number, length: number): Promise<void> => {
      const bytes = (await device.content()).subarray(offset, offset + length)
      const found = (await port.md5?.(offset, length, contextOf())) as Uint8Array
      expectBytes(`md5(${offset}, ${length})`, found, new Uint8Array(createHash('md5').update(bytes).digest()))
    }
    await check(0, 3 * blockBytes)
    await check(5, 1)
    await port.erase(blockBytes, blockBytes, contextOf())
    await port.write(blockBytes, sampleBytes(100, 9), contextOf())
    await check(0, 3 * blockBytes)
  }),
  rule('bounds', 'refuses what is no place in flash, and leaves it as it is', async (stand, { stepMs }) => {
    const device = flashAt(stand)
    const port = await portOf(stand)
    const before = await device.content()
    const { length: size } = before
    const { blockBytes } = device
    const some = new Uint8Array(16)
    const wrong: Readonly<Record<string, () => Promise<unknown>>> = {
      'a read behind the end': () => port.read(size, 1, contextOf()),
      'a read across the end': () => port.read(size - 1, 2, contextOf()),
      'a read at a negative offset': () => port.read(-1, 1, contextOf()),
      'a read at no number': () => port.read(Number.NaN, 1, contextOf()),
      'a read of a negative length': () => port.read(0, -1, contextOf()),
      'an erase of half a block': () => port.erase(blockBytes, blockBytes >> 1, contextOf()),
      'an erase between blocks': () => port.erase(blockBytes >> 1, blockBytes, contextOf()),
      'an erase behind the end': () => port.erase(size, blockBytes, contextOf()),
      'an erase at a negative offset': () => port.erase(-blockBytes, blockBytes, contextOf()),
      'a write across the end': () => port.write(size - 8, some, contextOf()),
      'a write at a negative offset': () => port.write(-1, some, contextOf()),
      'a write at half a byte': () => port.write(0.5, some, contextOf()),
    }
    for (const [name, call] of Object.entries(wrong))
      await within(stepMs, name, refused(name, { fault: ['invalid', 'rejected', 'unavailable'] }, call))
    expectBytes('the flash', await device.content(), before)
  }),
  rule('resets', 'resets the device once for each reset()', async (stand, { stepMs }) => {
    const device = flashAt(stand)
    for (let count = 1; count <= 2; count++) {
      const before = await device.resets()
      const connection = await reach(stand)
      await within(stepMs, 'reset()', (connection.port as FlashPort).reset(contextOf()))
      const found = (await device.resets()) - before
      strictEqual(found, 1, `expected one reset, found ${found}`)
      await connection[Symbol.asyncDispose]()
    }
    ok((await (await portOf(stand)).read(0, 16, contextOf())).length === 16, 'expected that the device can be read after a reset')
  }),
]
