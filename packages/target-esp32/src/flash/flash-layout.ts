import type { Digest, FlashPort, RunContext } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { type AppDescription, parseAppDescription } from '../image/app-description.ts'
import { ByteReader } from '../image/byte-reader.ts'
import { isBootable } from '../image/check-image.ts'
import type { ChipName } from '../image/chips.ts'
import { imageLimitBytes, parseImage } from '../image/parse-image.ts'
import { readTrailer } from '../image/signature-sector.ts'
import { bootOrder, updateSlot } from './boot-order.ts'
import { flashSectorBytes } from './flash-sector.ts'
import { readExactly } from './guarded-port.ts'
import { activeEntry, type Otadata, otadataEntryBytes, parseOtadataEntry } from './otadata.ts'
import { isOtadata, otaSlots, type Partition, type PartitionTable, parsePartitionTable, partitionTableBytes } from './partition-table.ts'
import { flashStream } from './read-back.ts'

/** What a slot holds, where the bootloader would start it. */
export interface SlotImage {
  readonly chip: ChipName
  /** SHA-256 of the file that was flashed; undefined where flash does not tell where it ended. */
  readonly digest?: Digest
  readonly description?: AppDescription
}

/** What stands in a flash, and what follows from it. */
export interface FlashLayout {
  readonly table: PartitionTable
  readonly slots: readonly Partition[]
  readonly otadataOffset: number
  readonly otadata: Otadata
  /** The entry that is selected. */
  readonly active: 0 | 1 | undefined
  /** What the bootloader starts: the first partition in its order that holds a valid image. */
  readonly running: { readonly partition: Partition; readonly image: SlotImage } | undefined
  /** Where an update goes. */
  readonly update: Partition | undefined
}

/**
 * Reads partition table, otadata and, whole, each image that the bootloader would try until one is valid. Reading it whole costs time over a
 * cable, but otadata alone does not say what runs: after a fallback, the slot that it does not select is the one to keep.
 * @throws `PARTITION_TABLE_INVALID`, `OTADATA_MISSING`, `FLASH_READ_SHORT`, and what the port throws
 */
export async function readLayout(port: FlashPort, tableOffset: number, context: RunContext): Promise<FlashLayout> {
  const { flashBytes } = port
  const table = parsePartitionTable(await readExactly(port, tableOffset, partitionTableBytes, context), {
    tableOffset,
    ...(flashBytes === undefined ? {} : { flashBytes }),
  })
  const place = table.partitions.find(isOtadata)
  if (place === undefined)
    throw fail('OTADATA_MISSING', 'partition table: expected an otadata partition (type data, subtype 0), found none')
  const otadata = await readOtadata(port, place.offset, context)
  const running = await findBootable(port, bootOrder(table, otadata), context)
  return {
    table,
    slots: otaSlots(table),
    otadataOffset: place.offset,
    otadata,
    active: activeEntry(otadata),
    running,
    update: updateSlot(table, running?.partition),
  }
}

export async function readOtadata(port: FlashPort, offset: number, context: RunContext): Promise<Otadata> {
  const entry = async (index: number) =>
    parseOtadataEntry(await readExactly(port, offset + index * flashSectorBytes, otadataEntryBytes, context))
  return [await entry(0), await entry(1)]
}

/** The first of these partitions that holds an image which the bootloader would start. */
export async function findBootable(
  port: FlashPort,
  order: readonly Partition[],
  context: RunContext,
): Promise<{ readonly partition: Partition; readonly image: SlotImage } | undefined> {
  for (const partition of order) {
    const image = await readSlotImage(port, partition, context)
    if (image !== undefined) return { partition, image }
  }
  return undefined
}

async function readSlotImage(port: FlashPort, partition: Partition, context: RunContext): Promise<SlotImage | undefined> {
  const reader = new ByteReader(
    flashStream(port, partition.offset, Math.min(partition.sizeBytes, imageLimitBytes), context),
    context.signal,
  )
  try {
    const facts = await parseImage(reader, true)
    const chip = facts.header?.chip
    if (chip === undefined || !isBootable(facts)) return undefined
    const digest = await digestOfFile(reader)
    const description = parseAppDescription(facts.firstData)
    return { chip: chip.name, ...(digest === undefined ? {} : { digest }), ...(description === undefined ? {} : { description }) }
  } finally {
    await reader.close()
  }
}

// Behind the image comes its signature sector, or the 0xFF that its last sector was filled with. Anything else may belong to it or not.
async function digestOfFile(reader: ByteReader): Promise<Digest | undefined> {
  const image = reader.sha256()
  const padding = await reader.take((flashSectorBytes - (reader.position % flashSectorBytes)) % flashSectorBytes)
  const sha256BeforeSector = reader.sha256()
  const sector = await reader.take(flashSectorBytes)
  const { signature, damage } = readTrailer({ padding, sector, sha256BeforeSector })
  if (signature?.scheme === 'v2' && damage.length === 0) return `sha256:${reader.sha256()}`
  return padding.every((byte) => byte === 0xff) ? `sha256:${image}` : undefined
}
