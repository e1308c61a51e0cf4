import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { demoImage, memoryFlash, serveRom, virtualEsp32, virtualRom } from '@reflash/target-esp32/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sayReflash, startReflash } from '../testing/run-reflash.ts'

type Chip = 'esp32s3' | 'esp32c3' | 'esp32p4'
const imageOf = (version: string, chip: Chip = 'esp32s3', sizeBytes = 128 * 1024) => demoImage({ chip, version, sizeBytes })
const writes = 0x11

/** A board that runs 1.0.0, on a socket, and a folder with the images. */
async function bench(options: { readonly paced?: boolean; readonly chip?: Chip } = {}) {
  const { chip = 'esp32s3' } = options
  const board = virtualEsp32({ chip, flash: memoryFlash() })
  board.provision(imageOf('1.0.0', chip, 16 * 1024))
  board.boot()
  const rom = virtualRom(board)
  const line = await serveRom(rom, options)
  const folder = await mkdtemp(join(tmpdir(), 'reflash-flash-'))
  onTestFinished(async () => {
    await line[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  const file = async (name: string, bytes: Uint8Array) => {
    await writeFile(join(folder, name), bytes)
    return join(folder, name)
  }
  return { board, rom, line, folder, file, port: ['--port', line.address] }
}

const version = (board: { readonly booted: { readonly is: string; readonly version?: string } }) => board.booted.version

describe('reflash flash', () => {
  it('writes a file, switches last, and restarts the chip into it', async () => {
    const { board, rom, file, port } = await bench()
    const { stdout, stderr, exitCode } = await sayReflash(['flash', ...port, await file('new.bin', imageOf('1.1.0')), '--json'])
    expect(stderr).toBe('')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ state: 'installed', chip: 'esp32s3', appVersion: '1.1.0', slot: 'ota_1', retries: 0 })
    expect(version(board)).toBe('1.1.0')
    expect(rom.resets).toBe(1)
    expect(rom.requests.get(writes)).toBeGreaterThan(0)
    expect(board.flash.misuses).toBe(0)
  })

  it('takes the signed release of a reference, and no other', async () => {
    const { board, file, port, folder } = await bench()
    const path = await file('new.bin', imageOf('1.1.0'))
    const say = (args: readonly string[]) => sayReflash(args, { env: { COSIGN_PASSWORD: 'x' } })
    const [keys, release] = [join(folder, 'k'), `oci:${join(folder, 'r')}:1.1.0`]
    expect((await say(['keygen', '--output-key-prefix', keys])).exitCode).toBe(0)
    expect((await say(['push', release, `${path}@esp32s3`])).exitCode).toBe(0)
    expect(await say(['flash', ...port, release])).toMatchObject({ exitCode: 2 })
    expect(await say(['flash', ...port, release, '--key', `${keys}.pub`])).toMatchObject({ exitCode: 3 })
    expect(version(board)).toBe('1.0.0')
    expect((await say(['sign', release, '--key', `${keys}.key`])).exitCode).toBe(0)
    expect(await say(['flash', ...port, release, '--key', `${keys}.pub`])).toMatchObject({ exitCode: 0 })
    expect(version(board)).toBe('1.1.0')
  })

  it('refuses an image for another chip with the reason of the plan, and writes nothing', async () => {
    const { board, rom, file, port } = await bench()
    const { stdout, exitCode } = await sayReflash(['flash', ...port, await file('c3.bin', imageOf('1.1.0', 'esp32c3')), '--json'])
    expect(exitCode).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'WRONG_CHIP' } })
    expect(rom.requests.get(writes)).toBeUndefined()
    expect(version(board)).toBe('1.0.0')
  })

  it('refuses a flash that is smaller than its partition table says, and writes nothing', async () => {
    const { board, rom, file, port } = await bench()
    const path = await file('new.bin', imageOf('1.1.0'))
    const { stderr, exitCode } = await sayReflash(['flash', ...port, path, '--flash-size', '2MB'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('PARTITION_TABLE_INVALID')
    expect(stderr).toContain('within 2097152 bytes of flash')
    expect(rom.requests.get(writes)).toBeUndefined()
    expect(version(board)).toBe('1.0.0')
  })

  it('takes the size of a flash that cannot be asked from --flash-size, which the error names', async () => {
    const { board, file, port } = await bench({ chip: 'esp32p4' })
    const path = await file('new.bin', imageOf('1.1.0', 'esp32p4'))
    const { stderr, exitCode } = await sayReflash(['flash', ...port, path])
    expect(exitCode).toBe(5)
    expect(stderr).toContain('--flash-size')
    expect(await sayReflash(['flash', ...port, path, '--flash-size', '4'])).toMatchObject({ exitCode: 2 })
    expect(await sayReflash(['flash', ...port, path, '--flash-size', '4mb'])).toMatchObject({ exitCode: 0 })
    expect(version(board)).toBe('1.1.0')
  })

  it.each([
    ['a key for a file, which has no signature', ['--key', 'cosign.pub'], '--key: expected a reference'],
    ['a socket without a port', ['--port', 'socket://board'], 'expected socket://<host>:<port>'],
    ['a port that is none', ['--port', 'socket://board:99999'], 'expected one from 1 to 65535'],
    ['a port without a name', ['--port', ''], 'found nothing'],
  ])('refuses %s', async (_, options, words) => {
    const { rom, file, port } = await bench()
    const { stderr, exitCode } = await sayReflash(['flash', ...port, await file('new.bin', imageOf('1.1.0')), ...options])
    expect(exitCode).toBe(2)
    expect(stderr).toContain(words)
    expect(rom.requests.size).toBe(0)
  })

  it('refuses a file that is no image before it looks for the chip', async () => {
    const { rom, file, port } = await bench()
    expect(await sayReflash(['flash', ...port, await file('no.bin', new Uint8Array(5000))])).toMatchObject({ exitCode: 2 })
    expect(rom.requests.size).toBe(0)
  })

  it('says "unavailable" where nobody answers', async () => {
    const { file, line, port } = await bench()
    const path = await file('new.bin', imageOf('1.1.0'))
    await line[Symbol.asyncDispose]()
    const { stderr, exitCode } = await sayReflash(['flash', ...port, path])
    expect(exitCode).toBe(4)
    expect(stderr).toContain('SERIAL_UNAVAILABLE')
  })

  it('leaves the old image bootable at Ctrl-C, and the next run writes only what is not there', async () => {
    const { board, rom, file, port } = await bench({ paced: true })
    const path = await file('new.bin', imageOf('1.1.0', 'esp32s3', 192 * 1024))
    const run = startReflash(['flash', ...port, path])
    // Beyond the first block of 64 KiB, which takes as many requests as it has KiB.
    while ((rom.requests.get(writes) ?? 0) < 80) await new Promise((resolve) => setTimeout(resolve, 20))
    run.child.kill('SIGINT')
    expect((await run.ended).exitCode).toBe(130)
    board.boot()
    expect(version(board)).toBe('1.0.0')
    const before = rom.requests.get(writes) as number
    expect(await sayReflash(['flash', ...port, path])).toMatchObject({ exitCode: 0 })
    expect(version(board)).toBe('1.1.0')
    expect((rom.requests.get(writes) as number) - before).toBeLessThan(135)
  }, 60_000)
})
