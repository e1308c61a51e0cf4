import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { serialTransport } from '../../src/index.ts'
import { demoImage, memoryFlash, serveRom, virtualEsp32, virtualRom } from '../../src/testing/index.ts'
import { ptyTo, withoutSocat } from '../support/pty.ts'

/*
 * Espressif's esptool (written against 5.6.0) on our virtual ROM loader, over a socket and over a pseudo-terminal: it writes and verifies, and reads
 * back what we wrote. Without its stub, which would be a program for a processor that is not there.
 * REFLASH_PEER_ESPTOOL names the executable.
 */
const esptool = process.env.REFLASH_PEER_ESPTOOL
const isThere = esptool !== undefined && existsSync(esptool)
if (!isThere) console.warn(`skipped: no esptool in REFLASH_PEER_ESPTOOL (${esptool ?? 'not set'}): pip install esptool==5.6.0`)

const context = () => ({ signal: new AbortController().signal, now: new Date(0) })
let folder = ''

async function ask(port: string, ...args: readonly string[]): Promise<string> {
  const all = ['--port', port, '--no-stub', '--before', 'no-reset', '--after', 'no-reset', ...args]
  const { stdout } = await promisify(execFile)(esptool as string, all, { env: { ...process.env, NO_COLOR: '1', COLUMNS: '200' } })
  return stdout
}

describe.skipIf(!isThere)('esptool on a virtual ROM loader', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'reflash-esptool-flash-'))
    return () => rm(folder, { recursive: true })
  })

  it.for(['esp32', 'esp32s2', 'esp32s3', 'esp32c3', 'esp32c6'] as const)(
    'writes to an %s, verifies, and reads back what we wrote',
    { timeout: 60_000 },
    async (chip) => {
      const board = virtualEsp32({ chip, flash: memoryFlash() })
      await using line = await serveRom(virtualRom(board))
      const image = demoImage({ chip, version: '1.0.0' })
      const path = join(folder, `${chip}.bin`)
      await writeFile(path, image)
      const told = await ask(line.address, 'write-flash', '--compress', '0x10000', path)
      expect(told).toContain('Hash of data verified')
      expect(Buffer.compare(board.flash.read(0x1_0000, image.length), image)).toBe(0)
      expect(board.boot()).toMatchObject({ is: 'running', version: '1.0.0' })

      const ours = image.slice(0, 3000)
      {
        await using transport = { plugin: serialTransport({ port: line.address }), [Symbol.asyncDispose]: async () => {} }
        await using connection = await transport.plugin.connect({ id: 'd1' })
        await connection.port.erase(0x20_0000, 0x1000, context())
        await connection.port.write(0x20_0000, ours, context())
      }
      const back = join(folder, `${chip}-back.bin`)
      await ask(line.address, 'read-flash', '0x200000', String(ours.length), back)
      expect(Buffer.compare(await readFile(back), ours)).toBe(0)
      expect(board.flash.misuses).toBe(0)
    },
  )

  it.skipIf(withoutSocat())('writes over a pseudo-terminal too, and says how large the flash is', { timeout: 60_000 }, async () => {
    const board = virtualEsp32({ chip: 'esp32s3', flash: memoryFlash() })
    await using line = await serveRom(virtualRom(board))
    await using pty = await ptyTo(line.address)
    const path = join(folder, 'pty.bin')
    const image = demoImage({ chip: 'esp32s3', version: '1.0.0', sizeBytes: 32 * 1024 })
    await writeFile(path, image)
    expect(await ask(pty.path, 'write-flash', '0x10000', path)).toContain('Hash of data verified')
    expect(Buffer.compare(board.flash.read(0x1_0000, image.length), image)).toBe(0)
    expect(await ask(pty.path, 'flash-id')).toContain('Detected flash size: 4MB')
  })
})
