import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DeviceState, Digest, Installed } from '@reflash/core'
import type { Esp32Attributes } from '../device-attributes.ts'
import { fail } from '../esp32-errors.ts'
import { updateSlot } from '../flash/boot-order.ts'
import {
  defaultPartitionTableOffset,
  encodePartitionTable,
  isFactory,
  otaSlots,
  type Partition,
  parsePartitionTable,
  partitionTableBytes,
} from '../flash/partition-table.ts'
import { twoOtaTable } from '../flash/standard-tables.ts'
import { type Chip, type ChipName, chipByName } from '../image/chips.ts'
import { chipNames } from '../image-facts.ts'
import { jsonFields } from '../json-fields.ts'
import { type BootConfig, type BootResult, boot, canRollBack, markActive, selectAsValid } from './boot-model.ts'
import { openFlashFile } from './flash-file.ts'
import { memoryFlash, type NorFlash } from './nor-flash.ts'

/** What is burned into a chip and never goes back. */
export type Efuse = {
  /** Major * 100 + minor. */
  readonly chipRevision: number
  /** Major * 100 + minor. */
  readonly blockRevision: number
  readonly secureVersion: number
}

export interface VirtualEsp32Options {
  readonly chip: ChipName
  /** `virtual-<chip>` where absent. */
  readonly id?: string
  /** Erased flash of 4 MiB in memory where absent. Flash without a partition table gets one. */
  readonly flash?: NorFlash
  /** `twoOtaTable()` where absent; of no effect on flash that has a table. */
  readonly partitions?: readonly Partition[]
  /** Whether the bootloader rolls back; true where absent. */
  readonly rollback?: boolean
  /** Whether the bootloader refuses older security versions; false where absent. */
  readonly antiRollback?: boolean
  readonly efuse?: Partial<Efuse>
}

/**
 * A chip with its flash. What runs on it is told by `booted`; where no slot holds an image, the chip is `unbootable` and still reachable, as a
 * real one is through its ROM: ports and agent work from outside the flash.
 */
export interface VirtualEsp32 {
  readonly id: string
  readonly chip: Chip
  readonly flash: NorFlash
  readonly partitions: readonly Partition[]
  readonly config: BootConfig
  readonly efuse: Efuse
  /** The outcome of the last start. */
  readonly booted: BootResult
  /** The partition that runs. */
  readonly running: Partition | undefined
  /** Powers the chip on, or resets it. */
  boot(): BootResult
  /** Writes an image as a factory does, over a cable: slot 0 where none is named; otadata stays as it is. Does not start it. */
  provision(image: Uint8Array, slot?: number | 'factory'): void
  /**
   * The running image keeps itself: esp_ota_mark_app_valid_cancel_rollback; where the bootloader had dismissed it, it selects itself before.
   * @throws `VIRTUAL_DEVICE` where no OTA image runs
   */
  markValid(): void
  /** The running image gives up: marked invalid, and restarted. @throws `VIRTUAL_DEVICE` where there is nothing to go back to */
  markInvalidAndRollback(): BootResult
  /** What the device would say of itself at a check-in. */
  state(): DeviceState
  close(): void
}

/**
 * Makes a virtual chip and starts it.
 * @throws `VIRTUAL_DEVICE` for an unknown chip, `PARTITION_TABLE_INVALID`, `VIRTUAL_FLASH`
 */
export function virtualEsp32(options: VirtualEsp32Options): VirtualEsp32 {
  return makeVirtual(options, () => {})
}

/**
 * Opens a virtual chip that is kept in a folder across runs: `flash.bin` (sparse, bytes inverted) and `chip.json` (eFuse). A new folder is a new
 * chip with nothing installed. One process at a time.
 * @throws `VIRTUAL_DEVICE` where the folder holds another chip, `VIRTUAL_FLASH`
 */
export function openVirtualEsp32(
  folder: string,
  options: Omit<VirtualEsp32Options, 'flash'> & { readonly flashBytes?: number },
): VirtualEsp32 {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    throw fail('VIRTUAL_DEVICE', `${folder}: expected a folder that can be written, found ${(cause as Error).message}`, { cause })
  }
  const path = join(folder, 'chip.json')
  const saved = readChip(path)
  if (saved !== undefined && saved.chip !== options.chip) {
    throw fail('VIRTUAL_DEVICE', `${folder}: expected the state of a ${options.chip}, found that of a ${saved.chip}; use another folder`)
  }
  const save = (efuse: Efuse): void => writeFileSync(path, `${JSON.stringify({ chip: options.chip, efuse })}\n`)
  const flash = openFlashFile(join(folder, 'flash.bin'), options.flashBytes)
  const device = makeVirtual({ ...options, flash, efuse: { ...options.efuse, ...saved?.efuse } }, save)
  save(device.efuse)
  return device
}

function readChip(path: string): { readonly chip: ChipName; readonly efuse: Efuse } | undefined {
  const refuse = (message: string): Error => fail('VIRTUAL_DEVICE', `${path}: ${message}`)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw refuse('expected JSON')
  }
  const fields = jsonFields(json as Parameters<typeof jsonFields>[0], refuse)
  const efuse = fields.within('efuse')
  if (efuse === undefined) throw refuse('efuse: expected an object, found none')
  return {
    chip: fields.oneOf('chip', chipNames as readonly [ChipName]),
    efuse: {
      chipRevision: efuse.integer('chipRevision', 0xffff),
      blockRevision: efuse.integer('blockRevision', 0xffff),
      secureVersion: efuse.integer('secureVersion', 32),
    },
  }
}

function makeVirtual(options: VirtualEsp32Options, burned: (efuse: Efuse) => void): VirtualEsp32 {
  const chip = chipByName(options.chip)
  if (chip === undefined) throw fail('VIRTUAL_DEVICE', `chip: expected one of ${chipNames.join(', ')}, found ${options.chip}`)
  const { id = `virtual-${chip.name}`, flash = memoryFlash(), rollback = true, antiRollback = false } = options
  const config: BootConfig = { tableOffset: defaultPartitionTableOffset, rollback, antiRollback }
  const table = tableOf(flash, options.partitions ?? twoOtaTable())
  let efuse: Efuse = { chipRevision: 0, blockRevision: 0, secureVersion: 0, ...options.efuse }
  let booted: BootResult
  const bootChip = () => ({ chipId: chip.id, chipRevision: efuse.chipRevision, mapped: chip.mapped, secureVersion: efuse.secureVersion })
  const burn = (secureVersion: number | undefined): void => {
    if (secureVersion === undefined || secureVersion <= efuse.secureVersion) return
    efuse = { ...efuse, secureVersion }
    burned(efuse)
  }
  const start = (): BootResult => {
    booted = boot(flash, bootChip(), config)
    if (booted.is === 'running') burn(booted.burnSecureVersion)
    return booted
  }
  const running = (): Partition | undefined =>
    booted.is === 'running' ? table.find(({ offset }) => offset === (booted as { offset: number }).offset) : undefined
  booted = start()
  return Object.freeze<VirtualEsp32>({
    id,
    chip,
    flash,
    partitions: table,
    config,
    get efuse() {
      return efuse
    },
    get booted() {
      return booted
    },
    get running() {
      return running()
    },
    boot: start,
    provision: (image, slot = 0) => provision(flash, table, image, slot),
    markValid() {
      const isKept =
        booted.is === 'running' &&
        (booted.dismissed ? selectAsValid(flash, config.tableOffset, booted.slot) : markActive(flash, config.tableOffset, 'valid'))
      if (booted.is !== 'running' || !isKept) throw fail('VIRTUAL_DEVICE', 'markValid: expected an OTA image to run, found none')
      if (antiRollback) burn(booted.secureVersion)
      booted = { ...booted, pendingVerify: false, dismissed: false }
    },
    markInvalidAndRollback() {
      if (booted.is !== 'running' || !canRollBack(flash, bootChip(), config)) {
        throw fail('VIRTUAL_DEVICE', 'markInvalidAndRollback: expected another image that could be started, found none')
      }
      markActive(flash, config.tableOffset, 'invalid')
      return start()
    },
    state: () => stateOf(id, chip, flash, table, booted, running(), efuse, config),
    close: () => flash.close(),
  })
}

function tableOf(flash: NorFlash, partitions: readonly Partition[]): readonly Partition[] {
  const stored = flash.read(defaultPartitionTableOffset, partitionTableBytes)
  const { sizeBytes: flashBytes } = flash
  if (!stored.every((byte) => byte === 0xff)) return parsePartitionTable(stored, { flashBytes }).partitions
  flash.erase(defaultPartitionTableOffset, 0x1000)
  flash.write(defaultPartitionTableOffset, encodePartitionTable(partitions, { flashBytes }))
  return partitions
}

function provision(flash: NorFlash, partitions: readonly Partition[], image: Uint8Array, slot: number | 'factory'): void {
  const place = slot === 'factory' ? partitions.find(isFactory) : otaSlots({ partitions, md5: true })[slot]
  if (place === undefined || image.length > place.sizeBytes) {
    const found = place === undefined ? 'no such slot' : `${image.length} bytes for ${place.sizeBytes}`
    throw fail('VIRTUAL_DEVICE', `provision: expected a slot that the image fits into, found ${found}`)
  }
  flash.erase(place.offset, Math.ceil(image.length / 0x1000) * 0x1000)
  flash.write(place.offset, image)
}

function stateOf(
  id: string,
  chip: Chip,
  flash: NorFlash,
  partitions: readonly Partition[],
  booted: BootResult,
  running: Partition | undefined,
  efuse: Efuse,
  { antiRollback }: BootConfig,
): DeviceState {
  const slotBytes = updateSlot({ partitions, md5: true }, running)?.sizeBytes
  const attributes: Esp32Attributes = {
    chipRevision: efuse.chipRevision,
    efuseBlockRevision: efuse.blockRevision,
    ...(antiRollback ? { secureVersion: efuse.secureVersion } : {}),
    secureBoot: 'none',
    otaSlots: otaSlots({ partitions, md5: true }).length,
    ...(slotBytes === undefined ? {} : { slotBytes }),
  }
  const base = { id, model: chip.name, attributes }
  if (booted.is !== 'running') return base
  const installed: Installed = {
    version: booted.version,
    digest: digestOfFile(flash, booted.offset, booted.imageBytes),
    state: booted.pendingVerify || booted.dismissed ? 'pending' : 'confirmed',
  }
  return { ...base, installed }
}

// A signed file goes on after its image: to the next sector, and the signature sector, which begins with 0xE7 and a version.
function digestOfFile(flash: NorFlash, offset: number, imageBytes: number): Digest {
  const sector = Math.ceil(imageBytes / 0x1000) * 0x1000
  const mark = offset + sector + 2 <= flash.sizeBytes ? flash.read(offset + sector, 2) : new Uint8Array(2)
  const signed = mark[0] === 0xe7 && (mark[1] === 2 || mark[1] === 3)
  const bytes = flash.read(offset, signed ? sector + 0x1000 : imageBytes)
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
