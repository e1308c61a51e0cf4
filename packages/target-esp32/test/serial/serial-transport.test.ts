import { createHash } from 'node:crypto'
import type { Device } from '@reflash/core'
import { describe, expect, it } from 'vitest'
import { type ChipName, chips, type SerialTransportOptions, serialTransport } from '../../src/index.ts'
import {
  memoryFlash,
  type ServeRomOptions,
  seededBytes,
  serveRom,
  type VirtualRomOptions,
  virtualEsp32,
  virtualRom,
} from '../../src/testing/index.ts'

const context = () => ({ signal: new AbortController().signal, now: new Date(0) })
const device: Device = { id: 'd1' }

async function served(chip: ChipName, options: VirtualRomOptions = {}, serving: ServeRomOptions = {}) {
  const board = virtualEsp32({ chip, flash: memoryFlash() })
  const rom = virtualRom(board, options)
  const line = await serveRom(rom, serving)
  return { board, rom, line, [Symbol.asyncDispose]: () => line[Symbol.asyncDispose]() }
}

const connect = (port: string, options: Partial<SerialTransportOptions> = {}, to = device) =>
  serialTransport({ port, ...options }).connect(to)

describe('serialTransport over a virtual ROM on a socket', () => {
  it.for(chips.map(({ name }) => name))('finds that a chip is an %s', async (chip) => {
    await using at = await served(chip)
    await using connection = await connect(at.line.address, { flashBytes: 0x40_0000 })
    expect(connection.port.chip).toBe(chip)
  })

  it.for(['esp32', 'esp32s2', 'esp32s3', 'esp32c6'] as const)('asks the flash of an %s how large it is', async (chip) => {
    await using at = await served(chip)
    await using connection = await connect(at.line.address)
    expect(connection.port.flashBytes).toBe(at.board.flash.sizeBytes)
  })

  it('writes compressed, and reads back what it wrote', async () => {
    await using at = await served('esp32s3')
    await using connection = await connect(at.line.address)
    const { port } = connection
    const bytes = new Uint8Array(0x2_0000).fill(7)
    bytes.set(seededBytes(5)(5000), 300)
    await port.erase(0x10_0000, bytes.length, context())
    await port.write(0x10_0000, bytes, context())
    expect(Buffer.compare(at.board.flash.read(0x10_0000, bytes.length), bytes)).toBe(0)
    expect(at.rom.requests.get(0x11)).toBeLessThan(12)
    expect(await port.md5(0x10_0000, bytes.length, context())).toEqual(new Uint8Array(createHash('md5').update(bytes).digest()))
    expect(Buffer.compare(await port.read(0x10_0000, bytes.length, context()), bytes)).toBe(0)
    expect(at.board.flash.misuses).toBe(0)
    expect(port.retries).toBe(0)
  })
})
