import { crc32, type Digest, digestOf, type FlashPort } from '@reflash/core'

/**
 * Flash of a made-up board, 24 KiB in blocks of 4 KiB.
 *
 * | offset | bytes | holds |
 * |---|---|---|
 * | 0x0000 | 4096 | a boot record |
 * | 0x1000 | 4096 | the other one |
 * | 0x2000 | 8192 | slot 0 |
 * | 0x4000 | 8192 | slot 1 |
 *
 * A boot record:
 *
 * | offset | bytes | holds |
 * |---|---|---|
 * | 0 | 4 | sequence, big-endian: the greatest that is whole counts |
 * | 4 | 4 | slot |
 * | 8 | 4 | bytes of the image |
 * | 12 | 32 | its SHA-256 |
 * | 44 | 4 | CRC-32 of all before |
 * | 48 | 1 | 0xFF new, 0xFE on trial, 0xFC kept, 0xFA went back |
 */
export const flashLayout = {
  blockBytes: 0x1000,
  records: [0x0000, 0x1000],
  slots: [0x2000, 0x4000],
  slotBytes: 0x2000,
  stateAt: 48,
} as const
const flashBytes = 0x6000

export interface FlashBoard {
  readonly port: FlashPort
  readonly running: Digest | undefined
  /** Takes the power away and gives it back. */
  boot(): void
  keep(): void
}

/** Makes a board that runs `image` and has kept it. What it boots is decided here, by no code of the driver. */
export function flashBoard(image: Uint8Array): FlashBoard {
  const { records, slots, blockBytes, stateAt } = flashLayout
  const flash = new Uint8Array(flashBytes).fill(0xff)
  let running: { readonly digest: Digest; readonly record: number } | undefined

  function bootable(record: number): { readonly sequence: number; readonly digest: Digest } | undefined {
    const view = new DataView(flash.buffer, record, 64)
    const offset = slots[view.getUint32(4)]
    if (view.getUint32(44) !== crc32(flash.subarray(record, record + 44)) || offset === undefined) return undefined
    if (flash[record + stateAt] === 0xfa) return undefined
    const digest = digestOf(flash.subarray(offset, offset + view.getUint32(8)))
    const expected = Buffer.from(flash.subarray(record + 12, record + 44)).toString('hex')
    return digest === `sha256:${expected}` ? { sequence: view.getUint32(0), digest } : undefined
  }

  function boot(): void {
    // An image on trial that was not kept before the power went has failed.
    for (const record of records) if (flash[record + stateAt] === 0xfe) flash[record + stateAt] = 0xfa
    const found = records.flatMap((record) => ({ record, ...bootable(record) })).filter(({ digest }) => digest !== undefined)
    const [best] = found.sort((a, b) => (b.sequence ?? 0) - (a.sequence ?? 0))
    running = best?.digest === undefined ? undefined : { digest: best.digest, record: best.record }
    if (running !== undefined && flash[running.record + stateAt] === 0xff) flash[running.record + stateAt] = 0xfe
  }

  flash.set(image, slots[0])
  const first = new DataView(flash.buffer, records[0], 64)
  first.setUint32(0, 1)
  first.setUint32(4, 0)
  first.setUint32(8, image.length)
  flash.set(Buffer.from(digestOf(image).slice(7), 'hex'), records[0] + 12)
  first.setUint32(44, crc32(flash.subarray(records[0], records[0] + 44)))
  flash[records[0] + stateAt] = 0xfc
  boot()

  const inside = (offset: number, length: number): void => {
    if (!Number.isInteger(offset) || !Number.isInteger(length) || offset < 0 || length < 0 || offset + length > flashBytes) {
      throw new RangeError(`expected a part of ${flashBytes} bytes, found ${length} at ${offset}`)
    }
  }
  return {
    port: {
      deviceId: 'board-1',
      async read(offset, length) {
        inside(offset, length)
        return flash.slice(offset, offset + length)
      },
      async erase(offset, length) {
        inside(offset, length)
        if (offset % blockBytes !== 0 || length % blockBytes !== 0) throw new RangeError('expected whole blocks')
        flash.fill(0xff, offset, offset + length)
      },
      async write(offset, bytes) {
        inside(offset, bytes.length)
        for (const [index, byte] of bytes.entries()) flash[offset + index] = (flash[offset + index] as number) & byte
      },
      reset: async () => boot(),
      async [Symbol.asyncDispose]() {},
    },
    get running() {
      return running?.digest
    },
    boot,
    keep() {
      if (running !== undefined && flash[running.record + stateAt] === 0xfe) flash[running.record + stateAt] = 0xfc
    },
  }
}
