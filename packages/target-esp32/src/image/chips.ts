/** One chip of the family: what decides whether an image runs on it, and where things lie in its flash. */
export interface Chip {
  readonly name: ChipName
  /** `chip_id` of the image header. */
  readonly id: number
  /** Flash offset of the second-stage bootloader, bytes. */
  readonly bootloaderOffset: number
  /** Bits of the security version in eFuse: burned bits are counted, so this is also the greatest version. */
  readonly secureVersionBits: number
  /** Flash frequency in MHz by the low nibble of header byte 3. The same nibble means different speeds on different chips. */
  readonly flashMHz: Readonly<Record<number, number>>
  /** Address ranges, end exclusive, that run from flash through the cache. All other segments are loaded into RAM. */
  readonly mapped: readonly (readonly [start: number, end: number])[]
  /** An address in RAM that code may be loaded to. */
  readonly iram: number
}

export type ChipName =
  | 'esp32'
  | 'esp32s2'
  | 'esp32s3'
  | 'esp32c2'
  | 'esp32c3'
  | 'esp32c5'
  | 'esp32c6'
  | 'esp32c61'
  | 'esp32h2'
  | 'esp32h21'
  | 'esp32h4'
  | 'esp32p4'
  | 'esp32e22'
  | 'esp32s31'

const mhz80 = { 0: 40, 1: 26, 2: 20, 15: 80 } as const
const mhz80no26 = { 0: 40, 2: 20, 15: 80 } as const
const mhz48 = { 0: 24, 1: 16, 2: 12, 15: 48 } as const

function chip(
  name: ChipName,
  id: number,
  bootloaderOffset: number,
  secureVersionBits: number,
  flashMHz: Chip['flashMHz'],
  mapped: Chip['mapped'],
  iram: number,
): Chip {
  return Object.freeze({ name, id, bootloaderOffset, secureVersionBits, flashMHz, mapped, iram })
}

/**
 * The chips, with the numbers of their technical reference manuals and of ESP-IDF's `esp_app_format.h`. On the C6, 40 and 80 MHz share
 * the nibble 0 (its ROM divides wrongly), so that 80 stands for both.
 */
export const chips: readonly Chip[] = Object.freeze([
  chip(
    'esp32',
    0,
    0x1000,
    32,
    mhz80,
    [
      [0x3f40_0000, 0x3f80_0000],
      [0x400d_0000, 0x4040_0000],
    ],
    0x4008_0000,
  ),
  chip(
    'esp32s2',
    2,
    0x1000,
    16,
    mhz80,
    [
      [0x3f00_0000, 0x3ff8_0000],
      [0x4008_0000, 0x4080_0000],
    ],
    0x4002_8000,
  ),
  chip(
    'esp32c3',
    5,
    0x0,
    16,
    mhz80,
    [
      [0x3c00_0000, 0x3c80_0000],
      [0x4200_0000, 0x4280_0000],
    ],
    0x4038_0000,
  ),
  chip(
    'esp32s3',
    9,
    0x0,
    16,
    mhz80,
    [
      [0x3c00_0000, 0x3e00_0000],
      [0x4200_0000, 0x4400_0000],
    ],
    0x4037_4000,
  ),
  chip(
    'esp32c2',
    12,
    0x0,
    4,
    { 0: 30, 1: 20, 2: 15, 15: 60 },
    [
      [0x3c00_0000, 0x3c40_0000],
      [0x4200_0000, 0x4240_0000],
    ],
    0x4037_c000,
  ),
  chip('esp32c6', 13, 0x0, 16, { 0: 80, 2: 20 }, [[0x4200_0000, 0x4300_0000]], 0x4080_0000),
  chip('esp32h2', 16, 0x0, 16, mhz48, [[0x4200_0000, 0x4300_0000]], 0x4080_0000),
  chip('esp32p4', 18, 0x2000, 16, mhz80, [[0x4000_0000, 0x4c00_0000]], 0x4ff4_0000),
  chip('esp32c61', 20, 0x0, 16, mhz80no26, [[0x4200_0000, 0x4400_0000]], 0x4080_0000),
  chip('esp32c5', 23, 0x2000, 9, mhz80no26, [[0x4200_0000, 0x4400_0000]], 0x4080_0000),
  chip('esp32h21', 25, 0x0, 16, { 0: 24, 15: 48 }, [[0x4200_0000, 0x4300_0000]], 0x4080_0000),
  chip('esp32h4', 28, 0x2000, 16, { 0: 24, 15: 48 }, [[0x4200_0000, 0x4400_0000]], 0x4081_0000),
  chip('esp32e22', 31, 0x0, 16, mhz80, [[0x3c00_0000, 0x4000_0000]], 0x3100_0000),
  chip('esp32s31', 32, 0x2000, 16, mhz80no26, [[0x4000_0000, 0x5400_0000]], 0x2f00_0000),
])

const byId = new Map(chips.map((entry) => [entry.id, entry]))
const byName = new Map<string, Chip>(chips.map((entry) => [entry.name, entry]))

/** The chip of a header's chip id; undefined where this version does not know it. */
export function chipById(id: number): Chip | undefined {
  return byId.get(id)
}

/** The chip of that exact name. */
export function chipByName(name: string): Chip | undefined {
  return byName.get(name)
}

/**
 * The chip of a device model as people write it: `esp32s3`, `ESP32-S3`, `esp32s3r8`, `esp32-c6-devkitc-1`, `esp32-wroom-32`.
 * Undefined where it names no chip of the family, or one that this version does not know (`esp32c9`).
 */
export function chipOfModel(model: string): Chip | undefined {
  const match = /^esp32(?:[-_ ]?([a-z]\d{1,2}))?(.*)$/i.exec(model)
  if (match === null) return undefined
  const suffix = match[1]?.toLowerCase() ?? ''
  const known = chipByName(`esp32${suffix}`)
  // Not esp322, not esp32s39: a digit more is another chip.
  if (known !== undefined) return /^\d/.test(match[2] ?? '') ? undefined : known
  // esp32-d0wd and esp32-u4wdh are packages of the first chip; esp32c9 is a chip to come.
  return /^[schpe]/.test(suffix) ? undefined : chipByName('esp32')
}

/** Whether a segment at this address runs from flash through the cache. */
export function isMapped({ mapped }: Chip, address: number): boolean {
  return mapped.some(([start, end]) => address >= start && address < end)
}
