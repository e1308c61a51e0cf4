import { createHash } from 'node:crypto'
import { crc32 } from '@reflash/core'

/*
 * Secure boot version 2: the image is padded with 0xFF to 4 KiB, then comes one sector of up to three blocks of 1216 bytes, the rest 0xFF.
 * ESP-IDF, secure_boot_signature_priv.h.
 *
 *              RSA-3072          ECDSA P-192/P-256   ECDSA P-384
 *      0    1  0xE7              0xE7                0xE7
 *      1    3  02 00 00          03 00 00            03 01 00
 *      4       SHA-256           SHA-256             SHA-384 (48 bytes), of everything before the sector
 *     36       n, e, R, M'       curve 1 or 2, X, Y  52: curve 3, X, Y
 *   1196    4  CRC-32 of bytes 0 to 1195
 *
 * Version 1 (ESP32 before revision 3): 4 zero bytes, then r and s of ECDSA P-256, 68 bytes in all, right after the image.
 */
const sectorBytes = 4096
const blockBytes = 1216
const maxBlocks = 3
export const signatureV1Bytes = 68

/** The signature of secure boot that an image carries. It is counted and checked for damage; whether a trusted key made it, the chip knows. */
export type SecureBootSignature = {
  readonly scheme: 'v1' | 'v2'
  readonly algorithm: 'ecdsa-p192' | 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-3072'
  readonly blocks: number
  /** SHA-256 of each public key, as burned into eFuse; none for version 1. */
  readonly keyDigests: readonly string[]
}

export interface TrailerFacts {
  readonly signature?: SecureBootSignature
  /** Why a sector that looks like a signature is none. */
  readonly damage: readonly string[]
  /** Bytes of the trailer that padding and signature account for. */
  readonly accountedBytes: number
}

/** What follows an image, as far as it was kept. */
export interface Trailer {
  /** Up to the next 4 KiB boundary. */
  readonly padding: Uint8Array
  /** The sector after that boundary, shorter where the file ends. */
  readonly sector: Uint8Array
  /** SHA-256 of everything before the sector. */
  readonly sha256BeforeSector: string
}

/** Reads what follows an image: nothing, or a secure boot signature. */
export function readTrailer({ padding, sector, sha256BeforeSector }: Trailer): TrailerFacts {
  if (sector.length === sectorBytes && sector[0] === 0xe7 && padding.every((byte) => byte === 0xff)) {
    return readSector(sector, sha256BeforeSector, padding.length + sectorBytes)
  }
  const whole = new Uint8Array(padding.length + sector.length)
  whole.set(padding)
  whole.set(sector, padding.length)
  if (whole.length >= signatureV1Bytes && whole.length < signatureV1Bytes + 16 && whole.subarray(0, 4).every((byte) => byte === 0)) {
    return {
      signature: { scheme: 'v1', algorithm: 'ecdsa-p256', blocks: 1, keyDigests: [] },
      damage: [],
      accountedBytes: signatureV1Bytes,
    }
  }
  return { damage: [], accountedBytes: 0 }
}

function readSector(sector: Uint8Array, sha256: string, accountedBytes: number): TrailerFacts {
  const damage: string[] = []
  const keyDigests: string[] = []
  let algorithm: SecureBootSignature['algorithm'] | undefined
  let at = 0
  for (; at < maxBlocks * blockBytes && sector[at] === 0xe7; at += blockBytes) {
    const block = sector.subarray(at, at + blockBytes)
    const number = at / blockBytes + 1
    const kind = algorithmOf(block)
    const view = new DataView(block.buffer, block.byteOffset, blockBytes)
    const crc = crc32(block.subarray(0, 1196))
    if (view.getUint32(1196, true) !== crc)
      damage.push(`block ${number}: expected CRC-32 ${hex(crc)}, found ${hex(view.getUint32(1196, true))}`)
    if (kind === undefined) damage.push(`block ${number}: version ${block[1]}.${block[2]} with curve ${block[36]} is not defined`)
    else {
      if (algorithm !== undefined && algorithm !== kind) damage.push(`block ${number}: expected ${algorithm} as in block 1, found ${kind}`)
      algorithm ??= kind
      keyDigests.push(keyDigest(block, kind))
      // The digest of a P-384 block is SHA-384, which one pass over the image cannot know to keep.
      const signed = Buffer.from(block.subarray(4, 36)).toString('hex')
      if (kind !== 'ecdsa-p384' && signed !== sha256) damage.push(`block ${number}: signs SHA-256 ${signed}, the image has ${sha256}`)
    }
  }
  if (!sector.subarray(at).every((byte) => byte === 0xff)) damage.push('bytes after the last block are not 0xff')
  const signature: SecureBootSignature | undefined =
    algorithm === undefined ? undefined : { scheme: 'v2', algorithm, blocks: at / blockBytes, keyDigests }
  return { ...(signature === undefined ? {} : { signature }), damage, accountedBytes }
}

function algorithmOf(block: Uint8Array): SecureBootSignature['algorithm'] | undefined {
  const [, version, sha] = block
  if (version === 2 && sha === 0) return 'rsa-3072'
  if (version === 3 && sha === 0) return block[36] === 1 ? 'ecdsa-p192' : block[36] === 2 ? 'ecdsa-p256' : undefined
  if (version === 3 && sha === 1) return block[52] === 3 ? 'ecdsa-p384' : undefined
  return undefined
}

// RSA: all key fields; ECDSA: the curve byte and the point, whose field is as wide as the widest curve of that block version.
function keyDigest(block: Uint8Array, algorithm: SecureBootSignature['algorithm']): string {
  const [start, end] = algorithm === 'rsa-3072' ? [36, 812] : algorithm === 'ecdsa-p384' ? [52, 149] : [36, 101]
  return createHash('sha256').update(block.subarray(start, end)).digest('hex')
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
