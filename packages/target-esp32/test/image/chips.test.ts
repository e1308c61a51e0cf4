import { describe, expect, it } from 'vitest'
import { chipById, chipByName, chipOfModel, chips } from '../../src/index.ts'

describe('the chips', () => {
  it('have names and ids of their own', () => {
    expect(new Set(chips.map(({ name }) => name)).size).toBe(chips.length)
    expect(new Set(chips.map(({ id }) => id)).size).toBe(chips.length)
    for (const chip of chips) expect([chipById(chip.id), chipByName(chip.name)]).toEqual([chip, chip])
  })

  it.each([
    ['esp32', 'esp32'],
    ['ESP32', 'esp32'],
    ['esp32-wroom-32', 'esp32'],
    ['esp32-2432S028R', 'esp32'],
    ['esp32cam', 'esp32'],
    ['esp32-d0wd-v3', 'esp32'],
    ['esp32-pico-d4', 'esp32'],
    ['esp32s3', 'esp32s3'],
    ['ESP32-S3', 'esp32s3'],
    ['esp32s3r8', 'esp32s3'],
    ['esp32-s3-n16r8', 'esp32s3'],
    ['esp32_c6-devkitc-1', 'esp32c6'],
    ['esp32c61', 'esp32c61'],
    ['esp32s31', 'esp32s31'],
    ['ESP32 P4', 'esp32p4'],
  ])('the model %s has an %s', (model, chip) => {
    expect(chipOfModel(model)?.name).toBe(chip)
  })

  it.each(['esp32c9', 'esp32s39', 'esp322', 'esp32c612', 'esp8266', 'sensor', '', 'my-esp32'])(
    'the model %j names no chip that is known',
    (model) => {
      expect(chipOfModel(model)).toBeUndefined()
    },
  )
})
