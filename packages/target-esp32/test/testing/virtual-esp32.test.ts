import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { factoryAndTwoOtaTable } from '../../src/index.ts'
import { demoImage, memoryFlash, openVirtualEsp32, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { heldImage } from '../support/held-image.ts'
import { withSignatureSector } from '../support/signed.ts'
import { vector, vectorFolder } from '../support/vectors.ts'
import { appImage, running } from '../support/virtual-state.ts'

const vectors = vectorFolder()
const folder = mkdtempSync(join(tmpdir(), 'reflash-virtual-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Selects a slot as an update does: a new entry in otadata, seq, state new; written by hand. */
function selectByHand({ flash }: VirtualEsp32, entry: 0 | 1, sequence: number, crc: number, state = 0): void {
  const bytes = new Uint8Array(32).fill(0xff)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, sequence, true)
  view.setUint32(24, state, true)
  view.setUint32(28, crc, true)
  flash.erase(0xe000 + entry * 0x1000, 0x1000)
  flash.write(0xe000 + entry * 0x1000, bytes)
}
const stateIn = ({ flash }: VirtualEsp32, entry: 0 | 1): number =>
  new DataView(flash.read(0xe018 + entry * 0x1000, 4).buffer).getUint32(0, true)

describe('a virtual ESP32', () => {
  it('with nothing installed is unbootable, says why, and still tells what it is', () => {
    const device = virtualEsp32({ chip: 'esp32c6', id: 'd7' })
    expect(device.booted).toEqual({ is: 'unbootable', because: ['0: no image', '1: no image'] })
    expect(device.running).toBeUndefined()
    expect(device.state()).toEqual({
      id: 'd7',
      model: 'esp32c6',
      attributes: { chipRevision: 0, efuseBlockRevision: 0, secureBoot: 'none', otaSlots: 2, slotBytes: 0x1d_0000 },
    })
  })

  it('starts what the factory wrote, and enters it as valid', () => {
    const device = running('1.0.0')
    expect(device.booted).toMatchObject({ is: 'running', slot: 0, version: '1.0.0', projectName: 'reflash-demo', pendingVerify: false })
    expect(stateIn(device, 0)).toBe(2)
    expect(device.state().installed).toEqual({
      version: '1.0.0',
      digest: heldImage(appImage('1.0.0')).descriptor.digest,
      state: 'confirmed',
    })
  })

  it('marks a new image pending at its first start, aborted at the second, and goes back', () => {
    const device = running('1.0.0')
    device.provision(appImage('1.1.0'), 1)
    selectByHand(device, 1, 2, 0x55f6_3774)
    expect(device.boot()).toMatchObject({ slot: 1, version: '1.1.0', pendingVerify: true })
    expect(device.state().installed).toMatchObject({ version: '1.1.0', state: 'pending' })
    expect(stateIn(device, 1)).toBe(1)
    expect(device.boot()).toMatchObject({ slot: 0, version: '1.0.0', pendingVerify: false })
    expect(stateIn(device, 1)).toBe(4)
    expect(device.boot()).toMatchObject({ slot: 0 })
  })

  it('keeps a new image that marks itself valid', () => {
    const device = running('1.0.0')
    device.provision(appImage('1.1.0'), 1)
    selectByHand(device, 1, 2, 0x55f6_3774)
    device.boot()
    device.markValid()
    expect(device.state().installed).toMatchObject({ version: '1.1.0', state: 'confirmed' })
    expect(stateIn(device, 1)).toBe(2)
    expect(device.boot()).toMatchObject({ slot: 1, pendingVerify: false })
  })

  it('goes back from an image that gives up, where there is something to go back to', () => {
    const device = running('1.0.0')
    expect(() => device.markInvalidAndRollback()).toThrow(expect.objectContaining({ code: 'VIRTUAL_DEVICE' }))
    device.provision(appImage('1.1.0'), 1)
    selectByHand(device, 1, 2, 0x55f6_3774)
    device.boot()
    expect(device.markInvalidAndRollback()).toMatchObject({ slot: 0, version: '1.0.0' })
    expect(stateIn(device, 1)).toBe(3)
  })

  it('without rollback neither marks nor goes back', () => {
    const device = running('1.0.0', { rollback: false })
    device.provision(appImage('1.1.0'), 1)
    selectByHand(device, 1, 2, 0x55f6_3774, 0xffff_ffff)
    expect(device.boot()).toMatchObject({ slot: 1, pendingVerify: false })
    expect(device.boot()).toMatchObject({ slot: 1, pendingVerify: false })
  })

  it('ignores an entry with a wrong CRC', () => {
    const device = running('1.0.0')
    device.provision(appImage('1.1.0'), 1)
    selectByHand(device, 1, 2, 0x55f6_3775)
    expect(device.boot()).toMatchObject({ slot: 0, version: '1.0.0' })
  })

  it('falls back to the other slot, then to the factory image, when images rot', () => {
    const device = virtualEsp32({ chip: 'esp32s3', partitions: factoryAndTwoOtaTable() })
    device.provision(appImage('0.9.0'), 'factory')
    device.provision(appImage('1.0.0'), 0)
    device.provision(appImage('1.1.0'), 1)
    const entry = new Uint8Array(32).fill(0xff)
    new DataView(entry.buffer).setUint32(0, 2, true)
    new DataView(entry.buffer).setUint32(28, 0x55f6_3774, true)
    device.flash.write(0xd000, entry)
    expect(device.boot()).toMatchObject({ slot: 1 })
    device.flash.write(0x21_0000 + 700, new Uint8Array(8))
    expect(device.boot()).toMatchObject({ slot: 0 })
    device.flash.write(0x11_0000 + 700, new Uint8Array(8))
    expect(device.boot()).toMatchObject({ slot: 'factory' })
    device.flash.write(0x1_0000 + 700, new Uint8Array(8))
    expect(device.boot()).toEqual({
      is: 'unbootable',
      because: ['1: the checksum is wrong', '0: the checksum is wrong', 'factory: the checksum is wrong'],
    })
  })

  it.each<[string, Uint8Array]>([
    ['the image is for chip id 5', demoImage({ chip: 'esp32c3', version: '1', sizeBytes: 1024 })],
    ['the image needs chip revision 100', demoImage({ chip: 'esp32s3', version: '1', sizeBytes: 1024, minChipRevision: 100 })],
    ['the hash is wrong', demoImage({ chip: 'esp32s3', version: '1', sizeBytes: 1024 }).fill(0, 1000)],
    ['segment 1 has 4294967295 bytes', demoImage({ chip: 'esp32s3', version: '1', sizeBytes: 1024 }).subarray(0, 700)],
  ])('does not start an image where %s', (because, image) => {
    const device = virtualEsp32({ chip: 'esp32s3' })
    device.provision(image)
    expect(device.boot()).toEqual({ is: 'unbootable', because: [`0: ${because}`, '1: no image'] })
  })

  it('with anti-rollback burns the version of a kept image, and starts no older one', () => {
    const device = virtualEsp32({ chip: 'esp32s3', antiRollback: true, efuse: { secureVersion: 1 } })
    device.provision(demoImage({ chip: 'esp32s3', version: '1.0.0', secureVersion: 1, sizeBytes: 1024 }))
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
    device.provision(demoImage({ chip: 'esp32s3', version: '2.0.0', secureVersion: 2, sizeBytes: 1024 }), 1)
    selectByHand(device, 1, 2, 0x55f6_3774)
    expect(device.boot()).toMatchObject({ version: '2.0.0', pendingVerify: true })
    expect(device.efuse.secureVersion).toBe(1)
    device.markValid()
    expect(device.efuse.secureVersion).toBe(2)
    expect(device.state().attributes).toMatchObject({ secureVersion: 2 })
    device.flash.erase(0x1e_0000, 0x1000)
    expect(device.boot()).toEqual({ is: 'unbootable', because: ['0: secure version 1 is below 2', '1: no image'] })
  })

  it('names the digest of a signed image as it was flashed, with its signature', () => {
    const signed = withSignatureSector(appImage('1.0.0'))
    const device = virtualEsp32({ chip: 'esp32s3' })
    device.provision(signed)
    device.boot()
    expect(device.state().installed?.digest).toBe(heldImage(signed).descriptor.digest)
  })

  it.skipIf(vectors === undefined).each([
    ['esp32', 'wled/WLED_0.14.2-b2_ESP32.bin', 'b1c75d1-dirty'],
    ['esp32s2', 'wled/WLED_0.14.2-b2_ESP32-S2.bin', 'esp-idf: v4.4.3 6407ecb3f8'],
    ['esp32s3', 'wled/WLED_0.14.2-b2_ESP32-S3_8MB.bin', 'esp-idf: v4.4.3 6407ecb3f8'],
    ['esp32c3', 'wled/WLED_0.14.2-b2_ESP32-C3.bin', 'esp-idf: v4.4.3 6407ecb3f8'],
  ] as const)('starts the real firmware of an %s', (chip, name, version) => {
    const image = vector(vectors as string, name)
    const device = virtualEsp32({ chip })
    device.provision(image)
    expect(device.boot()).toMatchObject({ is: 'running', version, imageBytes: image.length })
    expect(device.state().installed?.digest).toBe(heldImage(image).descriptor.digest)
  })

  it('keeps flash and eFuse in its folder, and belongs to one chip', () => {
    const home = join(folder, 'kept')
    const first = openVirtualEsp32(home, { chip: 'esp32c3', antiRollback: true, efuse: { chipRevision: 4 } })
    expect(first.booted.is).toBe('unbootable')
    first.provision(demoImage({ chip: 'esp32c3', version: '1.0.0', secureVersion: 3, sizeBytes: 1024 }))
    first.boot()
    first.markValid()
    first.close()
    const second = openVirtualEsp32(home, { chip: 'esp32c3', antiRollback: true })
    expect(second.booted).toMatchObject({ version: '1.0.0' })
    expect(second.efuse).toEqual({ chipRevision: 4, blockRevision: 0, secureVersion: 3 })
    second.close()
    expect(() => openVirtualEsp32(home, { chip: 'esp32' })).toThrow(
      expect.objectContaining({ code: 'VIRTUAL_DEVICE', message: expect.stringContaining('found that of a esp32c3') }),
    )
  })

  it.each(['', '{', '[]', '{"chip":"esp99"}', '{"chip":"esp32","efuse":{"chipRevision":-1}}', '{"chip":"esp32"}'])(
    'refuses the damaged chip.json %j',
    (text) => {
      const home = join(folder, 'damaged')
      openVirtualEsp32(home, { chip: 'esp32' }).close()
      const good = readFileSync(join(home, 'chip.json'), 'utf8')
      writeFileSync(join(home, 'chip.json'), text)
      expect(() => openVirtualEsp32(home, { chip: 'esp32' })).toThrow(expect.objectContaining({ code: 'VIRTUAL_DEVICE' }))
      writeFileSync(join(home, 'chip.json'), good)
    },
  )

  it('refuses an unknown chip, an image that does not fit, and a slot that is not there', () => {
    const refused = expect.objectContaining({ code: 'VIRTUAL_DEVICE' })
    expect(() => virtualEsp32({ chip: 'esp99' as 'esp32' })).toThrow(refused)
    const device = virtualEsp32({ chip: 'esp32' })
    expect(() => device.provision(new Uint8Array(0x1d_0001))).toThrow(refused)
    expect(() => device.provision(appImage('1', 'esp32'), 2)).toThrow(refused)
    expect(() => device.provision(appImage('1', 'esp32'), 'factory')).toThrow(refused)
    expect(() => device.markValid()).toThrow(refused)
  })

  it('refuses a flash whose partition table is damaged', () => {
    const flash = memoryFlash()
    flash.write(0x8000, Uint8Array.of(1, 2, 3))
    expect(() => virtualEsp32({ chip: 'esp32', flash })).toThrow(expect.objectContaining({ code: 'PARTITION_TABLE_INVALID' }))
  })
})
