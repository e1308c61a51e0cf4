import { checkBits, type Der, integerOf, NotDer, oidOf, readDer, utf8Of } from '../x509/der.ts'
import { hashOid } from '../x509/oids.ts'

/** One FWID: the digest of something that runs. */
export interface Fwid {
  /** `sha256`, `sha384`, `sha512`; the identifier in dots for any other. */
  readonly hashAlg: string
  /** Lower case hex. */
  readonly digest: string
}

/** A claim that a mode is on or off; undefined where the device makes none. */
type Claim = boolean | undefined

/** How a layer runs. */
export interface Modes {
  readonly notConfigured: Claim
  readonly notSecure: Claim
  readonly recovery: Claim
  readonly debug: Claim
}

/** What one TcbInfo says. */
export interface TcbInfo {
  readonly vendor?: string
  readonly model?: string
  readonly version?: string
  readonly svn?: number
  readonly layer?: number
  readonly index?: number
  readonly fwids: readonly Fwid[]
  readonly modes: Modes
  readonly type?: Uint8Array
}

/** Elements of a MultiTcbInfo; Caliptra has 2, and a large SoC a few dozen. */
const tcbInfoLimit = 64
const fwidLimit = 16
const textLimit = 256

/**
 * DiceTcbInfo, TCG DICE Attestation Architecture 1.0 and 1.1; all members optional, IMPLICIT.
 *
 * | tag | member | type |
 * |---|---|---|
 * | 80 81 82 | vendor, model, version | UTF8String |
 * | 83 84 85 | svn, layer, index | INTEGER |
 * | A6 | fwids | SEQUENCE (1..) OF { hashAlg OID, digest OCTET STRING } |
 * | 87 | flags | BIT STRING: 0 notConfigured, 1 notSecure, 2 recovery, 3 debug |
 * | 88 | vendorInfo | OCTET STRING |
 * | 89 | type | OCTET STRING |
 * | 8A | operationalFlagsMask (1.1) | BIT STRING: 1 where the flag is a claim |
 * | AB | integrityRegisters (1.1) | SEQUENCE (1..) OF { 80 name, 81 number, A2 digests } |
 *
 * @throws NotDer
 */
export function readTcbInfo(bytes: Uint8Array): TcbInfo {
  return tcbInfoOf(readDer(bytes))
}

/** `SEQUENCE SIZE (1..MAX) OF DiceTcbInfo`. @throws NotDer */
export function readMultiTcbInfo(bytes: Uint8Array): readonly TcbInfo[] {
  const { tag, children } = readDer(bytes)
  if (tag !== 0x30 || children.length === 0 || children.length > tcbInfoLimit) {
    throw new NotDer(`a MultiTcbInfo that is no list of 1 to ${tcbInfoLimit}`)
  }
  return children.map(tcbInfoOf)
}

function tcbInfoOf({ tag, children }: Der): TcbInfo {
  if (tag !== 0x30) throw new NotDer('a TcbInfo that is no sequence')
  // RIoT used the same identifier for [0] { OID, SEQUENCE { version, key, FWID } }.
  if (children[0]?.tag === 0xa0) throw new NotDer('the composite device id of RIoT under the identifier of TcbInfo')
  const members = new Map<number, Der>()
  let last = 0
  for (const child of children) {
    const number = child.tag & 0x1f
    if (!known.has(child.tag)) throw new NotDer(`a TcbInfo with an unknown member ${child.tag.toString(16)}`)
    if (members.size > 0 && number <= last) throw new NotDer('a TcbInfo whose members are doubled or out of order')
    last = number
    members.set(child.tag, child)
  }
  const value = (member: number): Uint8Array | undefined => members.get(member)?.value
  const integer = (member: number): number | undefined => map(value(member), integerOf)
  const registers = members.get(0xab)?.children
  if (registers !== undefined) checkRegisters(registers)
  return {
    ...given('vendor', map(value(0x80), text)),
    ...given('model', map(value(0x81), text)),
    ...given('version', map(value(0x82), text)),
    ...given('svn', integer(0x83)),
    ...given('layer', integer(0x84)),
    ...given('index', integer(0x85)),
    fwids: map(members.get(0xa6)?.children, fwidsOf) ?? [],
    modes: modesOf(value(0x87), value(0x8a)),
    ...given('type', value(0x89)),
  }
}

const known: ReadonlySet<number> = new Set([0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xa6, 0x87, 0x88, 0x89, 0x8a, 0xab])

function fwidsOf(list: readonly Der[]): readonly Fwid[] {
  if (list.length === 0 || list.length > fwidLimit) throw new NotDer(`expected 1 to ${fwidLimit} FWIDs, found ${list.length}`)
  return list.map(({ tag, children: [hashAlg, digest, more] }) => {
    if (tag !== 0x30 || hashAlg?.tag !== 0x06 || digest?.tag !== 0x04 || more !== undefined) {
      throw new NotDer('a FWID that is not { hashAlg, digest }')
    }
    const oid = oidOf(hashAlg.value)
    return { hashAlg: hashOid[oid]?.hashAlg ?? oid, digest: Buffer.from(digest.value).toString('hex') }
  })
}

// Registers change while a device runs: they are read so that nothing malformed passes, and not compared with anything.
function checkRegisters(registers: readonly Der[]): void {
  if (registers.length === 0 || registers.length > tcbInfoLimit) throw new NotDer('integrity registers that are no list')
  for (const { tag, children } of registers) {
    const digests = children.find((child) => child.tag === 0xa2)
    if (tag !== 0x30 || digests === undefined) throw new NotDer('an integrity register without digests')
    fwidsOf(digests.children)
  }
}

function modesOf(flags: Uint8Array | undefined, mask: Uint8Array | undefined): Modes {
  if (flags !== undefined) checkBits(flags)
  if (mask !== undefined) checkBits(mask)
  const bit = (bits: Uint8Array | undefined, index: number): boolean => (((bits?.[1 + (index >> 3)] ?? 0) >> (7 - (index & 7))) & 1) === 1
  // Where there is a mask, a flag outside of it is no claim: not the same as false.
  const claim = (index: number): Claim => (mask === undefined || bit(mask, index) ? bit(flags, index) : undefined)
  return { notConfigured: claim(0), notSecure: claim(1), recovery: claim(2), debug: claim(3) }
}

function text(value: Uint8Array): string {
  if (value.length > textLimit) throw new NotDer(`text of more than ${textLimit} bytes`)
  return utf8Of(value)
}

function map<T, R>(value: T | undefined, read: (value: T) => R): R | undefined {
  return value === undefined ? undefined : read(value)
}

function given<K extends string, V>(name: K, value: V | undefined): { readonly [key in K]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [key in K]?: V }
}
