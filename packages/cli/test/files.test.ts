import { lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSmallFile, writeWhole } from '../src/files.ts'
import { temporaryFolder } from './testing/run-reflash.ts'

describe('writing a file', () => {
  it('makes it appear whole, with its mode', async () => {
    const folder = await temporaryFolder()
    await writeWhole(join(folder, 'a.key'), { mode: 0o600, replace: false }, async (file) => void (await file.write('secret')))
    expect(await readFile(join(folder, 'a.key'), 'utf8')).toBe('secret')
    expect((await stat(join(folder, 'a.key'))).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['a.key'])
  })

  it('leaves nothing behind where the writer fails, and what stood there stays', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'a'), 'old')
    const failing = writeWhole(join(folder, 'a'), { replace: true }, async (file) => {
      await file.write('half')
      throw new Error('stop')
    })
    await expect(failing).rejects.toThrow('stop')
    expect(await readdir(folder)).toEqual(['a'])
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('old')
  })

  it('does not replace a file unless it is told to', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'a')
    await writeFile(path, 'old')
    const write = (replace: boolean) => writeWhole(path, { replace }, async (file) => void (await file.write('new')))
    await expect(write(false)).rejects.toMatchObject({ code: 'FILE_EXISTS', message: `expected no file at ${path}, found one` })
    expect(await readFile(path, 'utf8')).toBe('old')
    await write(true)
    expect(await readFile(path, 'utf8')).toBe('new')
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('replaces the file that a link means, and no device', async () => {
    const folder = await temporaryFolder()
    const at = (name: string): string => join(folder, name)
    const write = (name: string) => writeWhole(at(name), { replace: true }, async (file) => void (await file.write('new')))
    await writeFile(at('file'), 'old')
    await symlink('file', at('link'))
    await write('link')
    expect(await readFile(at('file'), 'utf8')).toBe('new')
    expect((await lstat(at('link'))).isSymbolicLink()).toBe(true)
    // As /dev/stdout is, of which scripts are fond.
    await symlink('/dev/null', at('device'))
    await expect(write('device')).rejects.toMatchObject({ code: 'FILE_NOT_WRITABLE', message: expect.stringContaining('found a device') })
    expect((await lstat(at('device'))).isSymbolicLink()).toBe(true)
  })

  it('names the folder that is missing, and the folder that stands where the file should', async () => {
    const folder = await temporaryFolder()
    await expect(writeWhole(join(folder, 'no', 'a'), { replace: true }, async () => {})).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await mkdir(join(folder, 'dir', 'full'), { recursive: true })
    await expect(writeWhole(join(folder, 'dir'), { replace: true }, async () => {})).rejects.toMatchObject({ code: 'FILE_NOT_WRITABLE' })
    expect(await readdir(folder)).toEqual(['dir'])
  })
})

describe('reading a small file', () => {
  it('says what was expected where there is none, and where it is a folder', async () => {
    const folder = await temporaryFolder()
    await expect(readSmallFile(join(folder, 'x'), 'a public key', 10)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: `expected a public key at ${join(folder, 'x')}, found nothing there`,
    })
    await expect(readSmallFile(folder, 'a public key', 1_000_000)).rejects.toMatchObject({ code: 'FILE_NOT_READABLE' })
  })

  it('refuses a file beyond its limit before reading it', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'x'), 'x'.repeat(11))
    await expect(readSmallFile(join(folder, 'x'), 'a public key', 10)).rejects.toMatchObject({ code: 'FILE_NOT_READABLE' })
  })
})
