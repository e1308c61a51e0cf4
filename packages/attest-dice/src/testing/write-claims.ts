import { createHash } from 'node:crypto'
import { extensionOid } from '../x509/oids.ts'
import { der, derBits, derInteger, derOctets, derOid, derText } from './encode-der.ts'
import type { WrittenExtension } from './issue-certificate.ts'

/** What a layer measures, as it is written into its certificate. */
export interface WrittenLayer {
  readonly vendor?: string
  readonly model?: string
  readonly version?: string
  readonly svn?: number
  readonly layer?: number
  readonly index?: number
  readonly type?: string
  /** `sha256`, `sha384`, `sha512`, or an identifier in dots; lower case hex. Open DICE takes the first as the hash of the code. */
  readonly fwids?: readonly { readonly hashAlg: string; readonly digest: string }[]
  readonly modes?: readonly ('notConfigured' | 'notSecure' | 'recovery' | 'debug')[]
  /** Bits of the flags beside the modes, and of the mask. */
  readonly flagBits?: readonly number[]
  readonly maskBits?: readonly number[]
}

const hashes: Readonly<Record<string, string>> = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sha1: '1.3.14.3.2.26',
}
const modeBits = { notConfigured: 0, notSecure: 1, recovery: 2, debug: 3 } as const

/** A DiceTcbInfo in DER. */
export function writeTcbInfo(layer: WrittenLayer): Uint8Array {
  const flags = [...(layer.modes ?? []).map((mode) => modeBits[mode]), ...(layer.flagBits ?? [])]
  const some = <T>(value: T | undefined, write: (value: T) => Uint8Array): readonly Uint8Array[] =>
    value === undefined ? [] : [write(value)]
  return der(
    0x30,
    ...some(layer.vendor, (vendor) => derText(vendor, 0x80)),
    ...some(layer.model, (model) => derText(model, 0x81)),
    ...some(layer.version, (version) => derText(version, 0x82)),
    ...some(layer.svn, (svn) => derInteger(svn, 0x83)),
    ...some(layer.layer, (number) => derInteger(number, 0x84)),
    ...some(layer.index, (index) => derInteger(index, 0x85)),
    ...some(layer.fwids, (fwids) =>
      der(
        0xa6,
        ...fwids.map(({ hashAlg, digest }) => der(0x30, derOid(hashes[hashAlg] ?? hashAlg), derOctets(Buffer.from(digest, 'hex')))),
      ),
    ),
    ...(flags.length === 0 ? [] : [derBits(flags, 0x87)]),
    ...some(layer.type, (type) => derText(type, 0x89)),
    ...some(layer.maskBits, (bits) => derBits(bits, 0x8a)),
  )
}

/** The extension for one layer, or for several of one certificate. */
export function tcbExtension(layers: readonly WrittenLayer[]): WrittenExtension {
  const [only, ...more] = layers.map(writeTcbInfo)
  if (only !== undefined && more.length === 0) return { oid: extensionOid.tcbInfo, critical: true, value: only }
  return { oid: extensionOid.multiTcbInfo, critical: true, value: der(0x30, ...layers.map(writeTcbInfo)) }
}

/** `SEQUENCE { ueid OCTET STRING }` */
export function ueidExtension(ueid: Uint8Array): WrittenExtension {
  return { oid: extensionOid.ueid, critical: false, value: der(0x30, derOctets(ueid)) }
}

/** What Open DICE takes besides the hash of the code. */
export interface WrittenInput {
  readonly codeHash: Uint8Array
  readonly mode?: number
  /** ENUMERATED, as the code of Open DICE writes, or INTEGER, as its text says. */
  readonly modeTag?: 0x0a | 0x02
  readonly configDescriptor?: Uint8Array
  /** SHA-512 of the descriptor where absent. */
  readonly configHash?: Uint8Array
}

/** An OpenDiceInput as extension. */
export function openDiceExtension({ codeHash, mode = 1, modeTag = 0x0a, configDescriptor, configHash }: WrittenInput): WrittenExtension {
  const hash = configHash ?? (configDescriptor === undefined ? undefined : createHash('sha512').update(configDescriptor).digest())
  const value = der(
    0x30,
    der(0xa0, derOctets(codeHash)),
    ...(hash === undefined ? [] : [der(0xa2, derOctets(hash))]),
    ...(configDescriptor === undefined ? [] : [der(0xa3, derOctets(configDescriptor))]),
    der(0xa4, derOctets(new Uint8Array(64))),
    der(0xa6, derInteger(mode, modeTag)),
  )
  return { oid: extensionOid.openDiceInput, critical: true, value }
}

/** The Android profile's configuration: a CBOR map of one security version below 2^32. */
export function androidConfig(securityVersion: number): Uint8Array {
  const bytes = Buffer.alloc(11)
  // -70005 is -1 - 70004.
  bytes.set([0xa1, 0x3a])
  bytes.writeUInt32BE(70_004, 2)
  bytes[6] = 0x1a
  bytes.writeUInt32BE(securityVersion, 7)
  return new Uint8Array(bytes)
}
