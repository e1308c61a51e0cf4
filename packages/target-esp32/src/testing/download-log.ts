import { type Digest, isDigest } from '@reflash/core'
import { flashSectorBytes } from '../flash/flash-sector.ts'
import type { Partition } from '../flash/partition-table.ts'
import type { NorFlash } from './nor-flash.ts'

/*
 * What the agent keeps of a download, in the first sector of the nvs partition. Nothing is erased while it runs: one byte goes to zero for
 * each sector that is written, after it is written. A byte each, because a write that power cuts short may clear any bit of what it writes:
 * whatever is left of a mark says nothing of another sector.
 *
 *   off  size field
 *     0     4 "RFD2"
 *     4     4 size of the image, little endian
 *     8     4 offset of the slot
 *    16   136 digest as text, padded with zeros
 *   256  3840 one byte for each sector of 4 KiB, 00: written; those beyond, from 15 MiB on, are not remembered
 */
const magic = 0x3244_4652
const marksAt = 256
const mostMarks = flashSectorBytes - marksAt

export interface Download {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly slotOffset: number
}

export interface DownloadLog {
  /** Goes on with a download that is under way, or begins a new one. */
  open(download: Download): void
  current(): Download | undefined
  /** Sectors written, from the start without a gap. */
  written(): number
  mark(sector: number): void
  /** Forgets the download: what is in the slot is not what was written. */
  clear(): void
}

export function downloadLog(flash: NorFlash, nvs: Partition): DownloadLog {
  // Written since this log was made, beyond what it has marks for.
  let unmarked = 0
  const current = (): Download | undefined => {
    const bytes = flash.read(nvs.offset, marksAt)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (view.getUint32(0, true) !== magic) return undefined
    const digest = new TextDecoder().decode(bytes.subarray(16, 152)).replace(/\0+$/, '')
    return isDigest(digest) ? { digest, size: view.getUint32(4, true), slotOffset: view.getUint32(8, true) } : undefined
  }
  return {
    open(download) {
      unmarked = 0
      const found = current()
      const same = found?.digest === download.digest && found.size === download.size && found.slotOffset === download.slotOffset
      if (same) return
      const bytes = new Uint8Array(152)
      const view = new DataView(bytes.buffer)
      view.setUint32(0, magic, true)
      view.setUint32(4, download.size, true)
      view.setUint32(8, download.slotOffset, true)
      bytes.set(new TextEncoder().encode(download.digest), 16)
      flash.erase(nvs.offset, flashSectorBytes)
      // The magic last: a cut in between leaves no download rather than half of one.
      flash.write(nvs.offset + 4, bytes.subarray(4))
      flash.write(nvs.offset, bytes.subarray(0, 4))
    },
    current,
    written() {
      const gap = flash.read(nvs.offset + marksAt, mostMarks).findIndex((mark) => mark !== 0)
      return Math.max(gap < 0 ? mostMarks : gap, unmarked)
    },
    clear: () => flash.erase(nvs.offset, flashSectorBytes),
    mark(sector) {
      if (sector < mostMarks) flash.write(nvs.offset + marksAt + sector, Uint8Array.of(0))
      else unmarked = sector + 1
    },
  }
}
