import { isOtaError } from '@reflash/core'
import fc from 'fast-check'
import { expect } from 'vitest'
import { readLayout } from '../../src/flash/flash-layout.ts'
import { encodeOtadataEntry, esp32Target, type OtaState, type Partition, twoOtaTable } from '../../src/index.ts'
import { demoImage, flashPort, memoryFlash, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from './held-image.ts'

export const threeSlots: readonly Partition[] = [
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

function edit(image: Uint8Array, at: number, mask: number): Uint8Array {
  const bytes = image.slice()
  bytes[at] = (bytes[at] as number) ^ mask
  return bytes
}

/** A flash in any state that a device may be found in, and many that it may not. */
interface Scene {
  readonly table: readonly Partition[]
  readonly first: Uint8Array
  readonly second: Uint8Array
  readonly images: readonly (typeof damage)[number][]
  readonly rollback: boolean
}

const scenes: fc.Arbitrary<Scene> = fc.record({
  table: fc.constantFrom(...tables),
  first: otadataEntry,
  second: otadataEntry,
  images: fc.array(fc.constantFrom(...damage), { minLength: 4, maxLength: 4 }),
  rollback: fc.boolean(),
})

/** Not started yet. */
function deviceIn({ table, first, second, images, rollback }: Scene): VirtualEsp32 {
  const flash = memoryFlash(0x9_0000)
  const device = virtualEsp32({ chip: 'esp32c3', flash, partitions: table, rollback })
  const otadata = table.find(({ label }) => label === 'otadata') as Partition
  flash.erase(otadata.offset, 0x2000)
  flash.write(otadata.offset, first)
  flash.write(otadata.offset + 0x1000, second)
  const apps = table.filter(({ type }) => type === 0)
  for (const [index, { offset }] of apps.entries()) flash.write(offset, (images[index] as (typeof damage)[number])(good))
  return device
}

/** The driver takes for running what the boot model, which shares no code with it, starts. */
export async function expectSameRunning(seed: number, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(scenes, async (scene) => {
    const device = deviceIn(scene)
    const layout = await readLayout(flashPort(device), 0x8000, context)
    const booted = device.boot()
    expect(layout.running?.partition.offset).toBe(booted.is === 'running' ? booted.offset : undefined)
  })
  await fc.assert(property, { seed, numRuns })
}

const update = heldImage(demoImage({ chip: 'esp32c3', version: '2.0.0', sizeBytes: 1024 }))

/**
 * An update out of any state: what ran still runs while the new image is only delivered, the new one runs once it is installed, and what ran
 * before runs again where the device does not keep it.
 */
export async function expectSafeUpdates(seed: number, numRuns: number): Promise<void> {
  let updated = 0
  const property = fc.asyncProperty(scenes, async (scene) => {
    const device = deviceIn(scene)
    const target = esp32Target({ rollback: scene.rollback })
    const driver = target.drive?.flash
    const port = flashPort(device)
    const before = device.boot()
    if (driver === undefined || (before.is === 'running' && before.slot === 'test')) return
    try {
      const plan = target.plan(await driver.probe(port, context), await target.inspect(update, context), update.descriptor)
      await driver.deliver(plan, update, port, context)
      const between = device.boot()
      // A device that starts nothing starts the first image that is whole.
      expect(between).toMatchObject({ version: before.is === 'running' ? '1.0.0' : '2.0.0' })
      await driver.install(plan, port, context)
    } catch (error) {
      if (isOtaError(error) && error.code === 'UPDATE_PENDING') return
      throw error
    }
    updated++
    expect(device.booted).toMatchObject({ version: '2.0.0' })
    if (before.is === 'running' && scene.rollback) expect(device.boot()).toMatchObject({ version: '1.0.0', slot: before.slot })
    expect(device.flash.misuses).toBe(0)
  })
  await fc.assert(property, { seed, numRuns })
  expect(updated).toBeGreaterThan(numRuns / 2)
}
