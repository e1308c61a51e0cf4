import { createHash } from 'node:crypto'
import { createInflate, type Inflate } from 'node:zlib'
import type { NorFlash } from './nor-flash.ts'
import type { VirtualEsp32 } from './virtual-esp32.ts'

export interface VirtualRomOptions {
  /** Another flash over the same bytes, such as one whose power is cut. */
  readonly flash?: NorFlash
  /** What GET_SECURITY_INFO says, where the chip has it: bit 0 secure boot, bit 2 Secure Download Mode. */
  readonly securityFlags?: number
  /** SPI_BOOT_CRYPT_CNT: an odd number of bits means flash encryption. */
  readonly flashCryptCount?: number
}

/** The ROM loader of a virtual chip: bytes in, bytes out. */
export interface VirtualRom {
  readonly device: VirtualEsp32
  /** The speed that the line was set to by CHANGE_BAUD; 115,200 after a reset. */
  readonly baud: number
  /** How often the ROM restarted the chip into its application. */
  readonly resets: number
  /** How many requests of each command came, by its number. */
  readonly requests: ReadonlyMap<number, number>
  /** Joins a line: what is sent goes to `send`, and what comes is to be handed to the result, one after the other. */
  attach(send: (bytes: Uint8Array) => void): (bytes: Uint8Array) => Promise<void>
}

interface Download {
  kind: 'raw' | 'deflate'
  offset: number
  /** Where the blocks end that were announced. */
  blocks: number
  next: number
  inflate?: Inflate
  unfolded: Uint8Array[]
}

/** The magic number at 0x40001000 of chips that cannot say their id. */
const magic: Readonly<Record<string, number>> = { esp32: 0x00f0_1d83, esp32s2: 0x0000_07c6 }
const sector = 0x1000

/**
 * Makes the ROM loader of a virtual chip, as far as flashing needs it: SYNC, registers (with the flash behind the SPI controller, as far as its id),
 * FLASH_* and FLASH_DEFL_*, READ_FLASH, MD5, CHANGE_BAUD, GET_SECURITY_INFO. FLASH_END restarts the chip, whose application prints a log and
 * nothing more; a SYNC brings it back, as the reset circuit of a board would have. It shares no code with what flashes it.
 */
export function virtualRom(device: VirtualEsp32, options: VirtualRomOptions = {}): VirtualRom {
  const { flash = device.flash, securityFlags = 0, flashCryptCount = 0 } = options
  const { chip } = device
  const registers = new Map<number, number>([[0x4000_1000, magic[chip.name] ?? 0]])
  const requests = new Map<number, number>()
  let [baud, resets] = [115_200, 0]
  let isDownloading = true
  let download: Download | undefined
  let send: (bytes: Uint8Array) => void = () => {}

  const restart = (): void => {
    resets++
    baud = 115_200
    isDownloading = false
    download = undefined
    const { is } = device.boot()
    send(new TextEncoder().encode(`rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n${is}\r\n\xc0`))
  }
  const eraseAround = (offset: number, length: number): void => {
    const first = offset - (offset % sector)
    const end = Math.ceil((offset + length) / sector) * sector
    if (length > 0) flash.erase(first, end - first)
  }
  const begin = (view: DataView, kind: Download['kind']): Reply => {
    if (view.byteLength < 16) return bad(5)
    const [size, blocks, blockBytes, offset] = [0, 4, 8, 12].map((at) => view.getUint32(at, true)) as [number, number, number, number]
    if (offset + size > flash.sizeBytes || offset % 4 !== 0 || blockBytes > 0x4000) return bad(6)
    download?.inflate?.destroy()
    eraseAround(offset, size)
    download = { kind, offset, blocks, next: 0, unfolded: [] }
    if (kind === 'deflate') {
      const { unfolded } = download
      const inflate = createInflate()
      inflate.on('data', (bytes: Uint8Array) => unfolded.push(bytes))
      inflate.on('error', () => undefined)
      download.inflate = inflate
    }
    return good()
  }
  const block = async (checksum: number, data: Uint8Array, kind: Download['kind']): Promise<Reply> => {
    const to = download
    if (data.length < 16 || to?.kind !== kind) return bad(5)
    const view = new DataView(data.buffer, data.byteOffset, data.length)
    const bytes = data.subarray(16)
    if (view.getUint32(0, true) !== bytes.length) return bad(5)
    if ((checksum & 0xff) !== bytes.reduce((sum, byte) => sum ^ byte, 0xef)) return bad(7)
    if (view.getUint32(4, true) !== to.next || to.next >= to.blocks) return bad(6)
    to.next++
    const unfolded = to.inflate === undefined ? [bytes] : await unfold(to.inflate, bytes, to.unfolded)
    if (unfolded === undefined) return bad(11)
    for (const part of unfolded) {
      if (to.offset + part.length > flash.sizeBytes) return bad(8)
      flash.write(to.offset, part)
      to.offset += part.length
    }
    return good()
  }
  const writeRegister = (view: DataView): Reply => {
    if (view.byteLength < 16) return bad(5)
    const [address, value] = [view.getUint32(0, true), view.getUint32(4, true)]
    registers.set(address, value)
    // The controller runs a command: of all that flash can be asked, only its id is known here, maker 20, kind 40.
    if (value === 1 << 18) {
      registers.set(address, 0)
      registers.set(address + (chip.name === 'esp32' ? 0x80 : 0x58), (Math.log2(flash.sizeBytes) << 16) | 0x4020)
    }
    return good()
  }
  const md5 = (view: DataView): Reply => {
    if (view.byteLength < 8) return bad(5)
    const [offset, length] = [view.getUint32(0, true), view.getUint32(4, true)]
    if (offset + length > flash.sizeBytes) return bad(9)
    return good(Buffer.from(createHash('md5').update(flash.read(offset, length)).digest('hex'), 'latin1'))
  }
  const readFlash = (view: DataView): Reply => {
    if (view.byteLength < 8) return bad(5)
    const [offset, length] = [view.getUint32(0, true), view.getUint32(4, true)]
    if (length > 64) return bad(10)
    if (offset + length > flash.sizeBytes) return bad(9)
    const buffer = new Uint8Array(64)
    buffer.set(flash.read(offset, length))
    return good(buffer)
  }
  const securityInfo = (): Reply => {
    if (chip.name === 'esp32') return bad(5)
    const bytes = new Uint8Array(chip.name === 'esp32s2' ? 12 : 20)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, securityFlags, true)
    view.setUint8(4, flashCryptCount)
    if (bytes.length === 20) view.setUint32(12, chip.id, true)
    return good(bytes)
  }

  const handle = (command: number, checksum: number, data: Uint8Array): Reply | Promise<Reply> => {
    const fields = new DataView(data.buffer, data.byteOffset, data.length)
    switch (command) {
      case 0x02:
        return begin(fields, 'raw')
      case 0x03:
        return block(checksum, data, 'raw')
      case 0x10:
        return begin(fields, 'deflate')
      case 0x11:
        return block(checksum, data, 'deflate')
      case 0x09:
        return writeRegister(fields)
      case 0x0a:
        return data.length < 4 ? bad(5) : good([], registers.get(fields.getUint32(0, true)) ?? 0)
      // A ROM says anything but 0 here, which is how esptool tells it from its stub.
      case 0x08:
        return good([], 0x2012_0707)
      case 0x04:
      case 0x0b:
      case 0x0d:
      case 0x0f:
      case 0x12:
        return good()
      case 0x0e:
        return readFlash(fields)
      case 0x13:
        return md5(fields)
      case 0x14:
        return securityInfo()
      default:
        return bad(5)
    }
  }
  const serve = async (frame: Uint8Array): Promise<void> => {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
    if (frame.length < 8 || view.getUint8(0) !== 0) return
    const command = view.getUint8(1)
    requests.set(command, (requests.get(command) ?? 0) + 1)
    if (command === 0x08) isDownloading = true
    if (!isDownloading) return
    const data = frame.subarray(8)
    const whole = view.getUint16(2, true) === data.length
    const { why, body = [], value = 0 } = whole ? await handle(command, view.getUint32(4, true), data) : bad(5)
    const answer = framed(command, Uint8Array.from(why === undefined ? [...body, 0, 0, 0, 0] : [1, why, 0, 0]), value)
    for (let count = command === 0x08 ? 8 : 1; count > 0; count--) send(answer)
    const isZero = data.length >= 4 && data.subarray(0, 4).every((byte) => byte === 0)
    if ((command === 0x04 || command === 0x12) && isZero) restart()
    // The answer still goes at the old speed.
    if (command === 0x0f && data.length >= 4) baud = new DataView(data.buffer, data.byteOffset).getUint32(0, true)
  }
  return {
    device,
    requests,
    get baud() {
      return baud
    },
    get resets() {
      return resets
    },
    attach(to) {
      send = to
      baud = 115_200
      const frames = frameReader()
      return async (bytes) => {
        for (const frame of frames(bytes)) await serve(frame)
      }
    },
  }
}

/** An answer: the data of a good one, or why it is none. */
interface Reply {
  readonly why?: number
  readonly body?: Iterable<number>
  readonly value?: number
}

const good = (body: Iterable<number> = [], value = 0): Reply => ({ body, value })
const bad = (why: number): Reply => ({ why })

/** What a block of compressed data adds; undefined where it is damaged. */
function unfold(inflate: Inflate, bytes: Uint8Array, unfolded: Uint8Array[]): Promise<Uint8Array[] | undefined> {
  return new Promise((resolve) => {
    const failed = (): void => resolve(undefined)
    inflate.once('error', failed)
    inflate.write(bytes, (error) => {
      inflate.off('error', failed)
      resolve(error == null ? unfolded.splice(0) : undefined)
    })
  })
}

function framed(command: number, body: Uint8Array, value: number): Uint8Array {
  const packet = Buffer.alloc(8 + body.length)
  packet[0] = 1
  packet[1] = command
  packet.writeUInt16LE(body.length, 2)
  packet.writeUInt32LE(value >>> 0, 4)
  packet.set(body, 8)
  const bytes = [0xc0]
  for (const byte of packet) {
    if (byte === 0xc0) bytes.push(0xdb, 0xdc)
    else if (byte === 0xdb) bytes.push(0xdb, 0xdd)
    else bytes.push(byte)
  }
  bytes.push(0xc0)
  return Uint8Array.from(bytes)
}

/** The buffer of the ROM: what is longer than a block with its frame is no request. */
const requestBytes = 0x4000 + 64

function frameReader(): (bytes: Uint8Array) => Uint8Array[] {
  let gathered: number[] = []
  let wasEscape = false
  return (bytes) => {
    const frames: Uint8Array[] = []
    for (const byte of bytes) {
      if (byte === 0xc0) {
        if (gathered.length > 0) frames.push(Uint8Array.from(gathered))
        gathered = []
        wasEscape = false
      } else if (gathered.length >= requestBytes) gathered = []
      else if (wasEscape) {
        gathered.push(byte === 0xdc ? 0xc0 : byte === 0xdd ? 0xdb : byte)
        wasEscape = false
      } else if (byte === 0xdb) wasEscape = true
      else gathered.push(byte)
    }
    return frames
  }
}
