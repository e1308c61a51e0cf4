import { describe, expect, it } from 'vitest'
import { noControlLines, serialTransport } from '../../src/index.ts'
import { memoryFlash, seededBytes, serveRom, virtualEsp32, virtualRom } from '../../src/testing/index.ts'
import { ptyTo, withoutSocat } from '../support/pty.ts'

const context = () => ({ signal: new AbortController().signal, now: new Date(0) })

describe.skipIf(withoutSocat())('serialTransport over a pseudo-terminal', () => {
  it('opens it by the package serialport, changes its speed, writes and reads back', { timeout: 30_000 }, async () => {
    const board = virtualEsp32({ chip: 'esp32c3', flash: memoryFlash() })
    const rom = virtualRom(board)
    await using line = await serveRom(rom, { paced: true })
    await using pty = await ptyTo(line.address)
    await using connection = await serialTransport({ port: pty.path, reset: noControlLines }).connect({
      id: 'd1',
      model: 'esp32-c3-devkit',
    })
    const { port } = connection
    expect(port.chip).toBe('esp32c3')
    expect(rom.baud).toBe(921_600)
    const bytes = seededBytes(3)(9000)
    await port.erase(0x10_0000, 0x3000, context())
    await port.write(0x10_0000, bytes, context())
    expect(Buffer.compare(board.flash.read(0x10_0000, bytes.length), bytes)).toBe(0)
    expect(Buffer.compare(await port.read(0x10_0000, bytes.length, context()), bytes)).toBe(0)
    await port.reset(context())
    expect(rom.resets).toBe(1)
  })

  it('says that control lines cannot be set where there are none', { timeout: 30_000 }, async () => {
    await using line = await serveRom(virtualRom(virtualEsp32({ chip: 'esp32c3' })))
    await using pty = await ptyTo(line.address)
    await expect(serialTransport({ port: pty.path }).connect({ id: 'd1' })).rejects.toMatchObject({ code: 'SERIAL_UNAVAILABLE' })
  })

  it('says "unavailable" of a port that is not there', async () => {
    await expect(serialTransport({ port: '/dev/no-such-port' }).connect({ id: 'd1' })).rejects.toMatchObject({ code: 'SERIAL_UNAVAILABLE' })
  })
})
