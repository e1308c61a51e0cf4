import { concat } from '@reflash/core'
import { fail } from '../esp32-errors.ts'

/*
 * The packets of the ROM loader, Espressif's "Serial Protocol"; numbers are little-endian.
 *
 * | offset | size | request | response |
 * |---|---|---|---|
 * | 0 | 1 | 00 | 01 |
 * | 1 | 1 | command | command that is answered |
 * | 2 | 2 | length of the data | length of the data with the status |
 * | 4 | 4 | checksum, for FLASH_DATA and FLASH_DEFL_DATA | value of READ_REG |
 * | 8 | n | data | data, then the status: 4 bytes, of older chips 2; first 0 is good, second why not |
 *
 * The checksum is EF XOR every byte behind the 16 bytes that begin the data. Nothing else is protected, neither the other requests nor any
 * response: what matters is asked for again, or compared with the MD5 of flash.
 */
export const romCommands = {
  flashBegin: 0x02,
  flashData: 0x03,
  flashEnd: 0x04,
  sync: 0x08,
  writeRegister: 0x09,
  readRegister: 0x0a,
  setFlashParameters: 0x0b,
  attachFlash: 0x0d,
  readFlash: 0x0e,
  changeBaud: 0x0f,
  deflateBegin: 0x10,
  deflateData: 0x11,
  deflateEnd: 0x12,
  flashMd5: 0x13,
  securityInfo: 0x14,
} as const

/** Bytes of FLASH_DATA and FLASH_DEFL_DATA: what the buffers of the ROM take. */
export const romBlockBytes = 0x400
/** The most that one READ_FLASH of the ROM gives. */
export const romReadBytes = 64
/** Header, the 64 bytes of READ_FLASH, status, and as much again: no response of a ROM is longer. */
export const responseLimitBytes = 2 * (8 + romReadBytes + 4)

export interface RomRequest {
  readonly command: number
  readonly data?: Uint8Array
  readonly checksum?: number
}

/** A response that is well-formed; whether it says yes is read by `resultOf`. */
export interface RomResponse {
  readonly command: number
  readonly value: number
  /** Data and status. */
  readonly body: Uint8Array
}

/** Numbers of 4 bytes each, as most requests carry them. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) view.setUint32(4 * index, value, true)
  return bytes
}

export function encodeRequest({ command, data = new Uint8Array(), checksum = 0 }: RomRequest): Uint8Array {
  const header = new Uint8Array(8)
  const view = new DataView(header.buffer)
  view.setUint8(1, command)
  view.setUint16(2, data.length, true)
  view.setUint32(4, checksum, true)
  return concat([header, data])
}

/** A request that carries a block of data with its number and its checksum. */
export function blockRequest(command: number, block: Uint8Array, sequence: number): RomRequest {
  return { command, data: concat([words(block.length, sequence, 0, 0), block]), checksum: block.reduce((sum, byte) => sum ^ byte, 0xef) }
}

/** The 36 bytes of SYNC, which are chosen to be seen well on an oscilloscope and to let the ROM find the speed of the line. */
export const syncRequest: RomRequest = {
  command: romCommands.sync,
  data: Uint8Array.from({ length: 36 }, (_, index) => [0x07, 0x07, 0x12, 0x20][index] ?? 0x55),
}

/** @throws `ROM_RESPONSE_INVALID` */
export function parseResponse(frame: Uint8Array): RomResponse {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  if (frame.length < 10) throw invalid(`expected at least 10 bytes, found ${frame.length}`)
  if (view.getUint8(0) !== 1) throw invalid(`expected the direction 1, found ${view.getUint8(0)}`)
  const length = view.getUint16(2, true)
  if (length !== frame.length - 8) throw invalid(`expected ${length} bytes of data as the header says, found ${frame.length - 8}`)
  return { command: view.getUint8(1), value: view.getUint32(4, true), body: frame.slice(8) }
}

/**
 * The data of a response, where its status is good.
 * @throws `ROM_REFUSED` with the code of the ROM, `ROM_RESPONSE_INVALID` where it carries another number of bytes than each of these
 */
export function resultOf({ command, body }: RomResponse, dataBytes: readonly number[] = [0]): Uint8Array {
  const length = dataBytes.find((bytes) => body.length === bytes + 4 || body.length === bytes + 2)
  const at = length ?? (body.length === 2 || body.length === 4 ? 0 : undefined)
  if (at === undefined)
    throw invalid(`command ${hex(command)}: expected ${dataBytes.join(' or ')} bytes and a status, found ${body.length}`)
  const [failed = 1, code = 0] = body.subarray(at)
  if (failed !== 0) {
    const why = refusals[code] ?? 'for a reason that is not known'
    throw fail('ROM_REFUSED', `command ${hex(command)}: expected that the chip does it, found that it refuses: ${why} (${hex(code)})`, {
      details: { command, code },
    })
  }
  if (length === undefined) throw invalid(`command ${hex(command)}: expected ${dataBytes.join(' or ')} bytes, found none`)
  return body.subarray(0, length)
}

const refusals: Readonly<Record<number, string>> = {
  5: 'the message is invalid, or the command is not known',
  6: 'it failed to act on the message',
  7: 'the checksum is wrong',
  8: 'flash could not be written',
  9: 'flash could not be read',
  10: 'the length to be read is wrong',
  11: 'the compressed data is damaged',
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`
}

function invalid(message: string): Error {
  return fail('ROM_RESPONSE_INVALID', `response of the ROM: ${message}`)
}

/** What a chip says of its security. */
export interface SecurityInfo {
  readonly secureBoot: boolean
  readonly secureDownload: boolean
  readonly flashEncrypted: boolean
  /** As in image headers; chips before the ESP32-S3 leave it out. */
  readonly chipId?: number
}

/** GET_SECURITY_INFO: flags u32, flash_crypt_cnt u8, key purposes u8[7], and of newer chips chip id u32 and version u32. */
export const securityInfoBytes: readonly number[] = [20, 12]

/** @throws `ROM_RESPONSE_INVALID` */
export function parseSecurityInfo(data: Uint8Array): SecurityInfo {
  if (!securityInfoBytes.includes(data.length)) throw invalid(`security info: expected 12 or 20 bytes, found ${data.length}`)
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const flags = view.getUint32(0, true)
  let bits = 0
  for (let count = view.getUint8(4); count > 0; count >>= 1) bits += count & 1
  return {
    secureBoot: (flags & 1) !== 0,
    secureDownload: (flags & 4) !== 0,
    // eFuse: an odd number of burned bits switches encryption on.
    flashEncrypted: bits % 2 === 1,
    ...(data.length === 20 ? { chipId: view.getUint32(12, true) } : {}),
  }
}

/** The MD5 that the ROM says in 32 hex digits. @throws `ROM_RESPONSE_INVALID` */
export function parseMd5(data: Uint8Array): Uint8Array {
  const text = Buffer.from(data).toString('latin1')
  if (!/^[0-9a-fA-F]{32}$/.test(text)) throw invalid('MD5: expected 32 hex digits')
  return new Uint8Array(Buffer.from(text, 'hex'))
}
