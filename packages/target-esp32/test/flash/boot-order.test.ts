import { describe, expect, it } from 'vitest'
import { factoryAndTwoOtaTable, twoOtaTable, updateSlot } from '../../src/index.ts'
import { expectSafeUpdates, expectSameRunning, threeSlots } from '../support/flash-scenes.ts'

describe('what the driver takes for running', () => {
  it('is what the boot model starts, for any otadata and any damage to the images', async () => {
    await expectSameRunning(8, 300)
  })
})

describe('an update out of any state of the flash', () => {
  it('changes what runs at its installation and not before, and leaves the way back', async () => {
    await expectSafeUpdates(12, 200)
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
