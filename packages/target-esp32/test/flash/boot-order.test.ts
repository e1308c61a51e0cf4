import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readLayout } from '../../src/flash/flash-layout.ts'
import { encodeOtadataEntry, factoryAndTwoOtaTable, type OtaState, type Partition, twoOtaTable, updateSlot } from '../../src/index.ts'
import { demoImage, flashPort, memoryFlash, virtualEsp32 } from '../../src/testing/index.ts'
import { context } from '../support/held-image.ts'

const threeSlots: readonly Partition[] = [
  ...twoOtaTable({ slotBytes: 0x2_0000 }),
  { label: 'ota_2', type: 0, subtype: 0x12, offset: 0x5_0000, sizeBytes: 0x2_0000 },
  { label: 'test', type: 0, subtype: 0x20, offset: 0x7_0000, sizeBytes: 0x2_0000 },
]
const withFactory: readonly Partition[] = [
  ...twoOtaTable({ slotBytes: 0x2_0000 }),
  { label: 'factory', type: 0, subtype: 0x00, offset: 0x5_0000, sizeBytes: 0x2_0000 },
]
const tables: readonly (readonly Partition[])[] = [twoOtaTable({ slotBytes: 0x2_0000 }), withFactory, threeSlots]
const states: readonly OtaState[] = ['new', 'valid', 'invalid', 'aborted', 'undefined']

/** What stands in one otadata sector. */
const otadataEntry = fc.oneof(
  fc.constant(new Uint8Array(32).fill(0xff)),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc
    .record({ sequence: fc.integer({ min: 0, max: 9 }), state: fc.constantFrom(...states) })
    .map(({ sequence, state }) => encodeOtadataEntry(sequence, state)),
  fc.record({ sequence: fc.integer({ min: 1, max: 9 }) }).map(({ sequence }) => {
    const bytes = encodeOtadataEntry(sequence, 'valid')
    bytes[28] = (bytes[28] as number) ^ 1
    return bytes
  }),
)

const good = demoImage({ chip: 'esp32c3', version: '1.0.0', sizeBytes: 1024 })
const damage: readonly ((image: Uint8Array) => Uint8Array)[] = [
  (image) => image,
  (image) => image,
  () => new Uint8Array(0),
  (image) => edit(image, 600, 1),
  (image) => edit(image, image.length - 1, 1),
  (image) => edit(image, image.length - 33, 1),
  (image) => image.slice(0, 900),
  (image) => edit(image, 1, 1),
  (image) => edit(image, 30, 0xff),
]

describe('what the driver takes for running', () => {
  it('is what the boot model starts, for any otadata and any damage to the images', async () => {
    const scene = fc.record({
      table: fc.constantFrom(...tables),
      first: otadataEntry,
      second: otadataEntry,
      images: fc.array(fc.constantFrom(...damage), { minLength: 4, maxLength: 4 }),
      rollback: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(scene, async ({ table, first, second, images, rollback }) => {
        const flash = memoryFlash(0x9_0000)
        const device = virtualEsp32({ chip: 'esp32c3', flash, partitions: table, rollback })
        const otadata = table.find(({ label }) => label === 'otadata') as Partition
        flash.erase(otadata.offset, 0x2000)
        flash.write(otadata.offset, first)
        flash.write(otadata.offset + 0x1000, second)
        const apps = table.filter(({ type }) => type === 0)
        for (const [index, { offset }] of apps.entries()) flash.write(offset, (images[index] as (typeof damage)[number])(good))
        const layout = await readLayout(flashPort(device), 0x8000, context)
        const booted = device.boot()
        expect(layout.running?.partition.offset).toBe(booted.is === 'running' ? booted.offset : undefined)
      }),
      { seed: 8, numRuns: 300 },
    )
  })
})

describe('the slot of an update', () => {
  it.each([
    ['the second, while the first runs', twoOtaTable(), 'ota_0', 'ota_1'],
    ['the first, while the second runs', twoOtaTable(), 'ota_1', 'ota_0'],
    ['the first, while the factory image runs', factoryAndTwoOtaTable(), 'factory', 'ota_0'],
    ['the first, while nothing runs', twoOtaTable(), 'none', 'ota_0'],
    ['the third of three, while the second runs', threeSlots, 'ota_1', 'ota_2'],
    ['the first of three, while the third runs', threeSlots, 'ota_2', 'ota_0'],
    ['none, where the running one is the only one', twoOtaTable().slice(0, 3), 'ota_0', undefined],
    ['the only one, while the factory image runs', factoryAndTwoOtaTable().slice(0, 5), 'factory', 'ota_0'],
    ['none, where there are no slots', factoryAndTwoOtaTable().slice(0, 4), 'factory', undefined],
  ])('is %s', (_, partitions, runs, expected) => {
    const running = partitions.find(({ label }) => label === runs)
    expect(updateSlot({ partitions, md5: true }, running)?.label).toBe(expected)
  })
})

function edit(image: Uint8Array, at: number, mask: number): Uint8Array {
  const bytes = image.slice()
  bytes[at] = (bytes[at] as number) ^ mask
  return bytes
}
