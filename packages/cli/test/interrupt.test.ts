import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { interruptOn } from '../src/interrupt.ts'
import { sayReflash, startReflash, temporaryFolder } from './testing/run-reflash.ts'
import { sampleImageFile } from './testing/sample-image.ts'
import { slowRegistry } from './testing/slow-registry.ts'

describe('Ctrl-C', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('by %s while pulling ends with exit code 130 and leaves no temporary file', async (name) => {
    const folder = await temporaryFolder()
    const image = await sampleImageFile(folder, 'fw.bin', 'esp32s3', 1, 256 * 1024)
    await sayReflash(['push', `oci:${join(folder, 'rel')}:1.0.0`, image])
    const { host, begun } = await slowRegistry(join(folder, 'rel'))
    const out = await temporaryFolder()
    const { child, ended } = startReflash(['pull', `${host}/fw:1.0.0`, '-o', join(out, 'fw.bin')])
    const first = await Promise.race([begun, ended])
    expect(first, 'pull is under way').toBeUndefined()
    // The file is there as soon as the first bytes were written.
    await vi.waitFor(async () => expect(await readdir(out)).toEqual([expect.stringMatching(/^\.fw\.bin\..*\.part$/)]), 10_000)
    child.kill(name)
    expect(await ended).toMatchObject({
      exitCode: 130,
      signal: null,
      stdout: '',
      stderr: expect.stringContaining('reflash: ABORTED: stopped by'),
    })
    expect(await readdir(out)).toEqual([])
  })

  it('a second time kills what hangs', () => {
    const listeners = new Map<string, (name: NodeJS.Signals) => void>()
    const kill = vi.fn()
    const { signal } = interruptOn({
      pid: 7,
      kill,
      on: (name, listener) => listeners.set(name, listener),
      off: (name) => listeners.delete(name),
    })
    const onSignal = listeners.get('SIGINT')
    onSignal?.('SIGINT')
    expect(signal.reason).toMatchObject({ fault: 'aborted', message: 'stopped by Ctrl-C' })
    expect(kill).not.toHaveBeenCalled()
    onSignal?.('SIGINT')
    expect(kill).toHaveBeenCalledWith(7, 'SIGINT')
    expect(listeners.size).toBe(0)
  })
})
