import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryFlash, type NorFlash, openFlashFile } from '../../src/testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'reflash-flash-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const kinds: readonly (readonly [string, (sizeBytes: number) => NorFlash])[] = [
  ['in memory', memoryFlash],
  ['in a file', (sizeBytes) => openFlashFile(join(folder, `${files++}.bin`), sizeBytes)],
]

describe.each(kinds)('flash %s', (_, make) => {
  it('is erased at first, and erased again by whole sectors', () => {
    const flash = make(0x4000)
    expect(flash.read(0, 0x4000).every((byte) => byte === 0xff)).toBe(true)
    flash.write(0x0ffe, Uint8Array.of(1, 2, 3, 4))
    flash.erase(0x1000, 0x1000)
    expect([...flash.read(0x0ffe, 4)]).toEqual([1, 2, 0xff, 0xff])
    flash.close()
  })

  it('only clears bits when it is written, and counts the writes that would set one', () => {
    const flash = make(0x1000)
    flash.write(10, Uint8Array.of(0b1111_0000, 0xff))
    expect(flash.misuses).toBe(0)
    flash.write(10, Uint8Array.of(0b1010_0000, 0x0f))
    expect(flash.misuses).toBe(0)
    flash.write(10, Uint8Array.of(0b1111_1111, 0x0f))
    expect(flash.misuses).toBe(1)
    expect([...flash.read(10, 2)]).toEqual([0b1010_0000, 0x0f])
    flash.close()
  })

  it('behaves as a naive model under any sequence of operations', () => {
    const operation = fc.oneof(
      fc.record({ erase: fc.constant(true), at: fc.integer({ min: 0, max: 3 }), bytes: fc.constant(new Uint8Array(0)) }),
      fc.record({ erase: fc.constant(false), at: fc.integer({ min: 0, max: 0x3f00 }), bytes: fc.uint8Array({ maxLength: 200 }) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const flash = make(0x4000)
        const model = Array.from({ length: 0x4000 }, () => 0xff)
        for (const { erase, at, bytes } of operations) {
          if (erase) {
            flash.erase(at * 0x1000, 0x1000)
            model.fill(0xff, at * 0x1000, (at + 1) * 0x1000)
          } else {
            flash.write(at, bytes)
            for (const [index, byte] of bytes.entries()) model[at + index] = (model[at + index] as number) & byte
          }
        }
        expect(Buffer.compare(flash.read(0, 0x4000), Uint8Array.from(model))).toBe(0)
        flash.close()
      }),
      { seed: 11, numRuns: 50 },
    )
  })

  it.each([
    ['read beyond the end', (flash: NorFlash) => flash.read(0x1fff, 2)],
    ['read before the start', (flash: NorFlash) => flash.read(-1, 2)],
    ['written beyond the end', (flash: NorFlash) => flash.write(0x2000, Uint8Array.of(1))],
    ['erased beyond the end', (flash: NorFlash) => flash.erase(0x1000, 0x2000)],
    ['erased off a sector', (flash: NorFlash) => flash.erase(0x800, 0x1000)],
    ['erased by part of a sector', (flash: NorFlash) => flash.erase(0, 0x800)],
    ['read at no integer', (flash: NorFlash) => flash.read(0.5, 1)],
  ])('cannot be %s', (__, act) => {
    const flash = make(0x2000)
    expect(() => act(flash)).toThrow(expect.objectContaining({ code: 'VIRTUAL_FLASH' }))
    flash.close()
  })

  it.each([0, -1, 100, 0x1001, 2 ** 31, Number.NaN])('cannot have a size of %d bytes', (sizeBytes) => {
    expect(() => make(sizeBytes)).toThrow(expect.objectContaining({ code: 'VIRTUAL_FLASH' }))
  })
})

describe('flash in a file', () => {
  it('keeps its bytes across runs, and takes little disk where it is erased', () => {
    const path = join(folder, 'kept.bin')
    const first = openFlashFile(path)
    first.erase(0, first.sizeBytes)
    first.write(0x20_0000, Uint8Array.of(1, 2, 3))
    first.close()
    const { size, blocks } = statSync(path)
    expect(size).toBe(4 * 1024 * 1024)
    expect(blocks * 512).toBeLessThan(64 * 1024)
    const second = openFlashFile(path)
    expect([...second.read(0x20_0000, 4)]).toEqual([1, 2, 3, 0xff])
    second.close()
  })

  it('is refused where the file has another size, or cannot be written', () => {
    const path = join(folder, 'small.bin')
    writeFileSync(path, 'not a flash')
    expect(() => openFlashFile(path)).toThrow(
      expect.objectContaining({ code: 'VIRTUAL_FLASH', message: expect.stringContaining('found 11') }),
    )
    expect(() => openFlashFile(join(folder, 'no', 'such', 'folder.bin'))).toThrow(expect.objectContaining({ code: 'VIRTUAL_FLASH' }))
  })
})
