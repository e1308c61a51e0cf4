import { type AgentPort, type Digest, digestAlgorithm, type FlashPort, type RunContext, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { updateSlot } from '../flash/boot-order.ts'
import { flashSectorBytes as sectorBytes } from '../flash/flash-sector.ts'
import { encodeOtadataEntry, noSequence, otadataCrcAt, otadataEntryBytes, parseOtadataEntry, selectSlot } from '../flash/otadata.ts'
import { isOtadata, otaSlots, type Partition, subtypes } from '../flash/partition-table.ts'
import { flashStream, readBack } from '../flash/read-back.ts'
import { inspectImage } from '../image/inspect-image.ts'
import { type DownloadLog, downloadLog } from './download-log.ts'
import { flashPort } from './flash-port.ts'
import type { NorFlash } from './nor-flash.ts'
import type { VirtualEsp32 } from './virtual-esp32.ts'

/**
 * Makes the `agent` port of a virtual chip: the update code that runs on the device itself, as esp_ota_begin, esp_ota_write, esp_ota_end and
 * esp_ota_set_boot_partition do. `activate` selects the new slot; the device starts it at its next `boot()`. A download goes on after a
 * power cut: which sectors are written is kept in the nvs partition. Where no image runs, the agent works from outside the flash.
 */
export function agentPort(device: VirtualEsp32, flash: NorFlash = device.flash): AgentPort {
  const table = { partitions: device.partitions, md5: true }
  const log = downloadLog(flash, nvsOf(device))
  const sector = new Uint8Array(sectorBytes)
  let filled = 0

  function slot(): Partition {
    const found = updateSlot(table, device.running)
    if (found === undefined) throw fail('NO_SECOND_SLOT', `expected a slot beside ${device.running?.label ?? 'none'}, found none`)
    return found
  }

  function storeSector(place: Partition): void {
    const index = log.written()
    flash.erase(place.offset + index * sectorBytes, sectorBytes)
    flash.write(place.offset + index * sectorBytes, sector.fill(0xff, filled))
    log.mark(index)
    filled = 0
  }

  const next = (size: number): number => Math.min(size, log.written() * sectorBytes + filled)

  return {
    deviceId: device.id,
    maxChunkBytes: 0x1_0000,
    async begin({ digest, size }, { signal }) {
      throwIfAborted(signal)
      if (device.booted.is === 'running' && device.booted.pendingVerify) {
        throw fail('UPDATE_PENDING', 'expected a running image that was kept, found one that waits for its self-test')
      }
      const place = slot()
      if (Math.ceil(size / sectorBytes) * sectorBytes > place.sizeBytes) {
        throw fail('IMAGE_LARGER_THAN_SLOT', `${place.label}: expected at most ${place.sizeBytes} bytes, found ${size}`)
      }
      filled = 0
      log.open({ digest, size, slotOffset: place.offset })
      return { offset: next(size) }
    },
    async write(offset, bytes, { signal }) {
      throwIfAborted(signal)
      const { size } = expectDownload(log)
      if (offset !== next(size) || offset + bytes.length > size) {
        throw fail('VIRTUAL_DEVICE', `write: expected bytes from ${next(size)} on, up to ${size}, found ${bytes.length} bytes at ${offset}`)
      }
      const place = slot()
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + sectorBytes - filled)
        sector.set(part, filled)
        filled += part.length
        at += part.length
        if (filled === sectorBytes || offset + at === size) storeSector(place)
      }
    },
    async *missing({ signal }) {
      throwIfAborted(signal)
      const { size } = expectDownload(log)
      const offset = next(size)
      if (offset < size) yield { offset, length: size - offset }
    },
    async activate(context) {
      const { digest, size } = expectDownload(log)
      const place = slot()
      const port = flashPort(device, flash)
      const found = await readBack(port, place.offset, size, digestAlgorithm(digest), context)
      if (found.digest !== digest) {
        log.clear()
        throw fail('SLOT_CONTENT', `${place.label}: expected ${digest}, found ${found.digest}`)
      }
      await expectImage(device, port, place, size, context)
      selectForBoot(device, flash, place)
    },
    async status({ signal }) {
      throwIfAborted(signal)
      return device.state()
    },
    async [Symbol.asyncDispose]() {},
  }
}

function nvsOf({ partitions }: VirtualEsp32): Partition {
  const found = partitions.find(({ type, subtype }) => type === 1 && subtype === subtypes.nvs)
  if (found === undefined) throw fail('VIRTUAL_DEVICE', 'expected a partition for nvs, found none')
  return found
}

function expectDownload(log: DownloadLog): { readonly digest: Digest; readonly size: number } {
  const download = log.current()
  if (download === undefined) throw fail('VIRTUAL_DEVICE', 'expected begin() before, found no download')
  return download
}

// What esp_ota_end and esp_ota_set_boot_partition check before they switch.
async function expectImage(device: VirtualEsp32, port: FlashPort, place: Partition, size: number, context: RunContext): Promise<void> {
  const { chip, efuse, config } = device
  const report = await inspectImage(flashStream(port, place.offset, size, context), { signal: context.signal })
  const { problems, secureVersion = 0 } = report
  if (problems.length > 0) throw fail('IMAGE_REFUSED', problems.map(({ message }) => message).join('; '), { because: problems })
  if (report.chip !== chip.name) throw fail('WRONG_CHIP', `expected an image for ${chip.name}, found one for ${report.chip}`)
  const { minChipRevision: min = 0, maxChipRevision: max = 0xffff } = report
  if (efuse.chipRevision < min || efuse.chipRevision > max) {
    throw fail('CHIP_REVISION', `expected a chip revision from ${min} to ${max}, this chip has ${efuse.chipRevision}`)
  }
  if (config.antiRollback && secureVersion < efuse.secureVersion) {
    await port.erase(place.offset, place.sizeBytes, context)
    throw fail('SECURE_VERSION_LOWER', `expected a security version of at least ${efuse.secureVersion}, found ${secureVersion}`)
  }
}

// As the flash driver does it, and not in one piece as ESP-IDF: see writeEntry in switch-slot.ts.
function selectForBoot({ partitions, config }: VirtualEsp32, flash: NorFlash, place: Partition): void {
  const otadata = partitions.find(isOtadata)
  if (otadata === undefined) throw fail('OTADATA_MISSING', 'expected an otadata partition, found none')
  const entry = (index: number) => parseOtadataEntry(flash.read(otadata.offset + index * sectorBytes, otadataEntryBytes))
  const entries = [entry(0), entry(1)] as const
  const slots = otaSlots({ partitions, md5: true })
  const change = selectSlot(entries, slots.indexOf(place), slots.length)
  const at = otadata.offset + change.entry * sectorBytes
  if (entries[change.entry].sequence !== noSequence) flash.write(at + otadataCrcAt, new Uint8Array(otadataEntryBytes - otadataCrcAt))
  flash.erase(at, sectorBytes)
  const bytes = encodeOtadataEntry(change.sequence, config.rollback ? 'new' : 'undefined')
  flash.write(at, bytes.subarray(0, otadataCrcAt))
  flash.write(at + otadataCrcAt, bytes.subarray(otadataCrcAt))
}
