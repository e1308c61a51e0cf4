import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildImage, type ChipName } from '@reflash/target-esp32'

/** Load addresses of data in flash and of code in RAM, so that an image has what real ones have. */
const addresses: Readonly<Partial<Record<ChipName, readonly [drom: number, iram: number]>>> = {
  esp32: [0x3f40_0020, 0x4008_0000],
  esp32s3: [0x3c00_0020, 0x4037_4000],
  esp32c3: [0x3c00_0020, 0x4038_0000],
}

/** A good application image; `fill` makes two of them differ. */
export function sampleImage(chip: ChipName = 'esp32s3', fill = 1, sizeBytes = 8192): Uint8Array {
  const [drom, iram] = addresses[chip] ?? [0x4200_0020, 0x4080_0000]
  return buildImage({
    chip,
    appDescription: { version: '0.1', projectName: 'sample', idfVersion: 'v5.4' },
    segments: [
      { loadAddress: drom, data: new Uint8Array(sizeBytes).fill(fill) },
      { loadAddress: iram, data: new Uint8Array(1024).fill(fill) },
    ],
  })
}

export async function sampleImageFile(folder: string, name: string, ...image: Parameters<typeof sampleImage>): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, sampleImage(...image))
  return path
}
