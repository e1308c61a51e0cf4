import { createHash } from 'node:crypto'
import { isOtaError } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodePartitionTable, factoryAndTwoOtaTable, otaSlots, type Partition, parsePartitionTable, twoOtaTable } from '../../src/index.ts'
import { seededBytes } from '../../src/testing/index.ts'
import { vector, vectorFolder } from '../support/vectors.ts'

const folder = vectorFolder()

describe.skipIf(folder === undefined)('tables made by ESP-IDF', () => {
  const root = folder as string

  it('are read: two OTA slots and a factory image', () => {
    const bytes = vector(root, 'partitions/partitions_two_ota.bin')
    const table = parsePartitionTable(bytes, { flashBytes: 4 * 1024 * 1024 })
    expect(table).toEqual({ md5: true, partitions: factoryAndTwoOtaTable() })
    expect(otaSlots(table).map(({ label }) => label)).toEqual(['ota_0', 'ota_1'])
  })

  it('are written byte for byte', () => {
    expect(Buffer.from(encodePartitionTable(factoryAndTwoOtaTable()))).toEqual(vector(root, 'partitions/partitions_two_ota.bin'))
    const single = parsePartitionTable(vector(root, 'partitions/partitions_singleapp.bin')).partitions
    expect(single.map(({ label, sizeBytes }) => [label, sizeBytes])).toEqual([
      ['nvs', 0x6000],
      ['phy_init', 0x1000],
      ['factory', 0x10_0000],
    ])
    expect(Buffer.from(encodePartitionTable(single))).toEqual(vector(root, 'partitions/partitions_singleapp.bin'))
  })

  it('without an end are refused', () => {
    const bytes = vector(root, 'esptool-test/images/partitions_singleapp.bin')
    expect(() => parsePartitionTable(bytes)).toThrow(
      expect.objectContaining({
        code: 'PARTITION_TABLE_INVALID',
        message: expect.stringContaining('expected an entry of 0xff at the end'),
      }),
    )
  })

  it('of Arduino are read out of a merged dump', () => {
    const dump = vector(root, 'wled/esp32-c3_bootloader_v2.bin')
    const { partitions } = parsePartitionTable(dump.subarray(0x8000, 0x8c00))
    expect(partitions.map(({ label }) => label)).toEqual(['nvs', 'otadata', 'app0', 'app1', 'spiffs'])
  })
})

describe('partition tables', () => {
  it('of the virtual device lie where OtaFlux devices have them, and fit into 4 MiB', () => {
    const table = twoOtaTable()
    expect(table.map(({ label, offset, sizeBytes }) => [label, offset, sizeBytes])).toEqual([
      ['nvs', 0x9000, 0x5000],
      ['otadata', 0xe000, 0x2000],
      ['ota_0', 0x1_0000, 0x1d_0000],
      ['ota_1', 0x1e_0000, 0x1d_0000],
    ])
    expect(parsePartitionTable(encodePartitionTable(table), { flashBytes: 4 * 1024 * 1024 }).partitions).toEqual(table)
  })

  it.each([0, -0x1_0000, 0x1_1000, 0x20_0000, Number.NaN])('of two slots are not made with slots of %d bytes in 4 MiB', (slotBytes) => {
    expect(() => twoOtaTable({ slotBytes })).toThrow(expect.objectContaining({ code: 'BUILD_INVALID' }))
  })

  it('carry the MD5 of their entries', () => {
    const bytes = encodePartitionTable(factoryAndTwoOtaTable())
    expect(createHash('md5').update(bytes.subarray(0, 192)).digest('hex')).toBe('bf25822c0fa6d8641bd930251e06b4c4')
    expect(Buffer.from(bytes.subarray(208, 224)).toString('hex')).toBe('bf25822c0fa6d8641bd930251e06b4c4')
  })

  it('are read back as they were written', () => {
    const entries = fc.array(
      fc.record({
        label: fc.string({ unit: fc.constantFrom(...'abc_019'), maxLength: 16 }),
        type: fc.integer({ min: 0, max: 1 }),
        sectors: fc.integer({ min: 2, max: 40 }),
        encrypted: fc.boolean(),
        readOnly: fc.boolean(),
      }),
      { minLength: 1, maxLength: 16 },
    )
    fc.assert(
      fc.property(entries, (drafts) => {
        const partitions = layOut(drafts)
        expect(parsePartitionTable(encodePartitionTable(partitions))).toEqual({ md5: true, partitions })
      }),
      { seed: 3, numRuns: 200 },
    )
  })

  const [nvs, otadata, ota0, ota1] = twoOtaTable() as [Partition, Partition, Partition, Partition]

  it.each<[string, Partition[]]>([
    ['ota_1: overlaps ota_0', [otadata, { ...ota0, sizeBytes: 0x1e_0000 }, ota1]],
    ['expected an offset aligned to 65536 bytes', [otadata, { ...ota0, offset: 0x1_1000, sizeBytes: 0x1000 }, ota1]],
    ['expected an offset aligned to 4096 bytes', [{ ...nvs, offset: 0x9010 }]],
    ['expected a size, found 0', [{ ...nvs, sizeBytes: 0 }]],
    ['expected whole 4096 byte sectors', [{ ...ota0, sizeBytes: 0x1001 }]],
    ['expected an end within 4194304 bytes', [{ ...ota0, sizeBytes: 0x40_0000 }]],
    ['behind bootloader and partition table', [{ ...nvs, offset: 0x8000 }]],
    ['behind bootloader and partition table', [{ ...ota0, offset: 0 }]],
    ['two partitions are the same OTA slot', [otadata, ota0, { ...ota1, subtype: 0x10 }]],
    ['expected OTA slots 0 to 0, found 1', [otadata, ota1]],
    ['expected one otadata partition, found 2', [otadata, { ...otadata, offset: 0x3f_0000 }]],
    ['otadata: expected two sectors', [{ ...otadata, sizeBytes: 0x1000 }]],
    [
      'at most one factory partition',
      [
        { ...ota0, subtype: 0 },
        { ...ota1, subtype: 0 },
      ],
    ],
  ])('with a mistake are refused, written and read: %s', (message, partitions) => {
    const refusal = expect.objectContaining({
      code: 'PARTITION_TABLE_INVALID',
      fault: 'invalid',
      message: expect.stringContaining(message),
    })
    expect(() => encodePartitionTable(partitions, { flashBytes: 0x40_0000 })).toThrow(refusal)
    expect(() => parsePartitionTable(rawTable(partitions), { flashBytes: 0x40_0000 })).toThrow(refusal)
  })

  it('with several mistakes are refused with every one', () => {
    const wrong = [{ ...nvs, offset: 0x8000 }, otadata, { ...ota0, sizeBytes: 0x40_0000 }]
    try {
      encodePartitionTable(wrong, { flashBytes: 0x40_0000 })
      expect.unreachable()
    } catch (error) {
      expect(isOtaError(error) && error.because.length).toBe(2)
    }
  })

  it.each([
    ['a label of 17 bytes', { ...nvs, label: 'x'.repeat(17) }],
    ['a type that is no byte', { ...nvs, type: 256 }],
    ['an offset that is no integer', { ...nvs, offset: 0x9000 + 0.5 }],
  ])('cannot be written with %s', (_, partition) => {
    expect(() => encodePartitionTable([partition])).toThrow(expect.objectContaining({ fault: 'invalid' }))
  })

  it('cannot hold more than 94 partitions', () => {
    const many = Array.from({ length: 95 }, (_, index) => ({
      ...nvs,
      label: `${index}`,
      offset: 0x9000 + index * 0x1000,
      sizeBytes: 0x1000,
    }))
    expect(() => encodePartitionTable(many)).toThrow(expect.objectContaining({ code: 'BUILD_INVALID' }))
    expect(parsePartitionTable(encodePartitionTable(many.slice(1))).partitions.length).toBe(94)
  })

  it('altered at random are read or refused, nothing else', () => {
    const random = seededBytes(7)
    const below = (limit: number): number => new DataView(random(4).buffer).getUint32(0) % limit
    const good = encodePartitionTable(factoryAndTwoOtaTable())
    const seen = new Set<string>()
    for (let run = 0; run < 3000; run++) {
      const bytes = good.slice(0, below(4) === 0 ? below(good.length) : good.length)
      for (let count = 1 + below(3); count > 0 && bytes.length > 0; count--) bytes[below(Math.min(bytes.length, 260))] = below(256)
      // Half of them with the MD5 recomputed, so that more than the MD5 is wrong.
      if (below(2) === 0 && bytes.length >= 224) bytes.set(createHash('md5').update(bytes.subarray(0, 192)).digest(), 208)
      try {
        seen.add(parsePartitionTable(bytes, { flashBytes: 0x40_0000 }).md5 ? 'read' : 'read without MD5')
      } catch (error) {
        if (!isOtaError(error) || error.fault !== 'invalid') throw error
        for (const { message } of error.because) seen.add(message.replaceAll(/[0-9a-f]{32}|[0-9]+|^[^:]*: (?!e)/g, '').slice(0, 24))
      }
    }
    expect(seen.size).toBeGreaterThan(10)
    expect(seen).toContain('read')
  })
})

function layOut(drafts: readonly { label: string; type: number; sectors: number; encrypted: boolean; readOnly: boolean }[]): Partition[] {
  let next = 0x9000
  let slots = 0
  return drafts.map(({ label, type, sectors, encrypted, readOnly }) => {
    const offset = type === 0 ? Math.ceil(next / 0x1_0000) * 0x1_0000 : next
    next = offset + sectors * 0x1000
    const subtype = type === 0 ? 0x10 + slots++ : 0x02
    return {
      label,
      type,
      subtype,
      offset,
      sizeBytes: sectors * 0x1000,
      ...(encrypted ? { encrypted } : {}),
      ...(readOnly ? { readOnly } : {}),
    }
  })
}

/** A table whose layout nobody checked. */
function rawTable(partitions: readonly Partition[]): Uint8Array {
  const bytes = new Uint8Array(0xc00).fill(0xff)
  const view = new DataView(bytes.buffer)
  for (const [index, { label, type, subtype, offset, sizeBytes }] of partitions.entries()) {
    const at = index * 32
    bytes.fill(0, at, at + 32)
    bytes.set([0xaa, 0x50, type, subtype], at)
    view.setUint32(at + 4, offset, true)
    view.setUint32(at + 8, sizeBytes, true)
    bytes.set(new TextEncoder().encode(label), at + 12)
  }
  return bytes
}
