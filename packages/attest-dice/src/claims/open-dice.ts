import { createHash } from 'node:crypto'
import { integerOf, NotDer, readDer, sameBytes } from '../x509/der.ts'
import type { Modes } from './tcb-info.ts'

/** What an Open DICE certificate says. */
export interface OpenDiceInput {
  /** SHA-512 of the code, or what the device uses for it; 64 bytes. */
  readonly codeHash: Uint8Array
  readonly modes: Modes
  /** The Android profile's security version, where the configuration descriptor has one. */
  readonly svn?: number
  /** The configuration hash is not that of the descriptor beside it. */
  readonly configMismatch: boolean
}

const hashBytes = 64

/**
 * OpenDiceInput, google/open-dice; all members optional but the hash of the code, each EXPLICIT.
 *
 * | tag | member | type |
 * |---|---|---|
 * | A0 | codeHash | OCTET STRING (64) |
 * | A1 | codeDescriptor | OCTET STRING |
 * | A2 | configurationHash | OCTET STRING (64) |
 * | A3 | configurationDescriptor | OCTET STRING |
 * | A4 | authorityHash | OCTET STRING (64) |
 * | A5 | authorityDescriptor | OCTET STRING |
 * | A6 | mode | INTEGER in its text, ENUMERATED in its code: 0 not configured, 1 normal, 2 debug, 3 recovery |
 * | A7 | profileName | UTF8String |
 *
 * @throws NotDer
 */
export function readOpenDiceInput(bytes: Uint8Array): OpenDiceInput {
  const { tag, children } = readDer(bytes)
  if (tag !== 0x30) throw new NotDer('Open DICE inputs that are no sequence')
  const members = new Map<number, Uint8Array>()
  let last = 0
  for (const child of children) {
    const [inner, more] = child.children
    const wanted = types[child.tag]
    if (wanted === undefined || inner === undefined || more !== undefined || !wanted.includes(inner.tag)) {
      throw new NotDer(`Open DICE inputs with a wrong member ${child.tag.toString(16)}`)
    }
    if (child.tag <= last) throw new NotDer('Open DICE inputs whose members are doubled or out of order')
    last = child.tag
    members.set(child.tag, inner.value)
  }
  const codeHash = hash(members.get(0xa0), 'code hash')
  if (codeHash === undefined) throw new NotDer('Open DICE inputs without a code hash')
  hash(members.get(0xa4), 'authority hash')
  const descriptor = members.get(0xa3)
  const configHash = hash(members.get(0xa2), 'configuration hash')
  const mode = members.get(0xa6)
  const svn = descriptor === undefined ? undefined : securityVersionOf(descriptor)
  return {
    codeHash,
    modes: modesOf(mode === undefined ? 0 : integerOf(mode)),
    ...(svn === undefined ? {} : { svn }),
    // An inline configuration of 64 bytes has no hash of its own.
    configMismatch:
      descriptor !== undefined && configHash !== undefined && !sameBytes(configHash, createHash('sha512').update(descriptor).digest()),
  }
}

const types: Readonly<Record<number, readonly number[]>> = {
  160: [0x04],
  161: [0x04],
  162: [0x04],
  163: [0x04],
  164: [0x04],
  165: [0x04],
  166: [0x02, 0x0a],
  167: [0x0c],
}

function hash(value: Uint8Array | undefined, what: string): Uint8Array | undefined {
  if (value !== undefined && value.length !== hashBytes) throw new NotDer(`a ${what} of ${value.length} bytes instead of ${hashBytes}`)
  return value
}

// An unknown mode is treated as not configured (google/open-dice, specification).
function modesOf(mode: number): Modes {
  return { notConfigured: mode < 1 || mode > 3, notSecure: false, recovery: mode === 3, debug: mode === 2 }
}

/** Android profile for DICE: a CBOR map with -70005 (security version, uint). */
const securityVersionKey = -70_005

// Reads the security version of a CBOR map of small integers to integers, texts, bytes, or null; undefined where it is something else, since
// a configuration may be in any format.
function securityVersionOf(descriptor: Uint8Array): number | undefined {
  let at = 0
  const head = (): { major: number; value: number } | undefined => {
    const first = descriptor[at++]
    if (first === undefined) return undefined
    const short = first & 0x1f
    if (short < 24) return { major: first >> 5, value: short }
    const octets = [1, 2, 4][short - 24]
    if (octets === undefined || at + octets > descriptor.length) return undefined
    let value = 0
    for (let index = 0; index < octets; index++) value = value * 256 + (descriptor[at++] as number)
    return { major: first >> 5, value }
  }
  const map = head()
  if (map?.major !== 5) return undefined
  let found: number | undefined
  for (let left = map.value; left > 0; left--) {
    const key = head()
    const item = head()
    if (key === undefined || item === undefined || key.major > 1 || item.major === 4 || item.major === 5 || item.major === 6)
      return undefined
    if (item.major === 2 || item.major === 3) at += item.value
    if (at > descriptor.length) return undefined
    if ((key.major === 1 ? -1 - key.value : key.value) !== securityVersionKey) continue
    if (item.major !== 0 || found !== undefined) return undefined
    found = item.value
  }
  return at === descriptor.length ? found : undefined
}
