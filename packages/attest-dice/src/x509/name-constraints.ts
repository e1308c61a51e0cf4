import { type Der, NotDer, readDer, sameBytes } from './der.ts'

/** A GeneralName: its tag [n] and its content. RFC 5280, 4.2.1.6. */
interface GeneralName {
  readonly tag: number
  readonly value: Uint8Array
}

/** The names of a certificate: its subject, empty or not, and its alternative names. */
export interface Names {
  readonly subject: Uint8Array
  readonly alternative: readonly GeneralName[]
}

/** RFC 5280, 4.2.1.10. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

const tagOf = { rfc822Name: 0x81, dNSName: 0x82, directoryName: 0xa4, uri: 0x86, iPAddress: 0x87 } as const
const spoken: readonly number[] = Object.values(tagOf)

/** @throws NotDer */
export function readNames(subject: Uint8Array, alternative: Uint8Array | undefined): Names {
  const names = alternative === undefined ? [] : readDer(alternative).children.map(generalName)
  return { subject, alternative: names }
}

/** @throws NotDer */
export function readNameConstraints(value: Uint8Array): NameConstraints {
  const found: { permitted: GeneralName[]; excluded: GeneralName[] } = { permitted: [], excluded: [] }
  for (const { tag, children } of readDer(value).children) {
    const list = tag === 0xa0 ? found.permitted : tag === 0xa1 ? found.excluded : undefined
    if (list === undefined) throw new NotDer(`name constraints with a member ${tag}`)
    for (const { children: subtree } of children) {
      // 4.2.1.10: minimum is zero and maximum absent; in DER neither is written then.
      if (subtree[0] === undefined || subtree.length !== 1) throw new NotDer('a subtree with a minimum or maximum')
      list.push(generalName(subtree[0]))
    }
  }
  return found
}

function generalName({ tag, value, children }: Der): GeneralName {
  // A directory name is explicit: the Name lies within.
  return { tag, value: tag === tagOf.directoryName ? (children[0]?.whole ?? value) : value }
}

/** Why names are not what the constraints allow; undefined where they are. RFC 5280, 6.1.3 (b) and (c). */
export function violation({ permitted, excluded }: NameConstraints, names: Names): string | undefined {
  const unspoken = [...permitted, ...excluded].find(({ tag }) => !spoken.includes(tag))
  if (unspoken !== undefined) return `a constraint on names of kind ${unspoken.tag & 0x1f}, which is not understood`
  const hasSubject = readDer(names.subject).children.length > 0
  const all = [...(hasSubject ? [{ tag: tagOf.directoryName, value: names.subject }] : []), ...names.alternative]
  for (const name of all) {
    // RFC 5280, 4.2.1.10: a URI without a host name is refused wherever URIs are constrained at all.
    if (name.tag === tagOf.uri && hostOf(name.value) === undefined && [...permitted, ...excluded].some(({ tag }) => tag === tagOf.uri)) {
      return 'a URI without a host name'
    }
    if (excluded.some((base) => base.tag === name.tag && isWithin(base, name, isAlike))) return 'a name that is excluded'
    const bases = permitted.filter(({ tag }) => tag === name.tag)
    if (bases.length > 0 && !bases.some((base) => isWithin(base, name, sameBytes))) return 'a name that is not among those permitted'
  }
  return undefined
}

type Alike = (base: Uint8Array, name: Uint8Array) => boolean

function isWithin(base: GeneralName, { tag, value }: GeneralName, alike: Alike): boolean {
  switch (tag) {
    case tagOf.directoryName:
      return isPrefix(readDer(base.value).children, readDer(value).children, alike)
    case tagOf.iPAddress:
      return inNetwork(base.value, value)
    case tagOf.dNSName:
      return inDomain(asciiOf(base.value), asciiOf(value))
    case tagOf.rfc822Name:
      return mailWithin(asciiOf(base.value), asciiOf(value))
    default:
      return hostWithin(asciiOf(base.value), value)
  }
}

function isPrefix(base: readonly Der[], name: readonly Der[], alike: Alike): boolean {
  return base.every(({ whole }, index) => name[index] !== undefined && alike(whole, name[index].whole))
}

// RFC 5280, 7.1: case, spaces and the type of a string do not make another name. Whoever is kept from a name must not get it by spelling it
// otherwise; who is permitted one spells it byte by byte.
const isAlike: Alike = (base, name) => spelledAlike(readDer(base)) === spelledAlike(readDer(name))

function spelledAlike({ tag, value, children }: Der): string {
  if (children.length > 0) return `(${children.map(spelledAlike).sort().join(' ')})`
  const text = textOf[tag]?.(value)
  return text === undefined ? `${tag}:${Buffer.from(value).toString('hex')}` : JSON.stringify(folded(text))
}

const folded = (text: string): string => text.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ')

const latin1 = (value: Uint8Array): string => Buffer.from(value).toString('latin1')

/** DirectoryString and IA5String: UTF8String, PrintableString, TeletexString, IA5String, UniversalString, BMPString. */
const textOf: Readonly<Record<number, (value: Uint8Array) => string>> = {
  12: (value) => Buffer.from(value).toString('utf8'),
  19: latin1,
  20: latin1,
  22: latin1,
  28: (value) => wide(value, 4),
  30: (value) => wide(value, 2),
}

function wide(value: Uint8Array, bytes: number): string {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength - (value.byteLength % bytes))
  let text = ''
  for (let at = 0; at < view.byteLength; at += bytes) {
    const point = bytes === 2 ? view.getUint16(at) : view.getUint32(at)
    text += point > 0x10ffff ? '\ufffd' : String.fromCodePoint(point)
  }
  return text
}

function inNetwork(base: Uint8Array, address: Uint8Array): boolean {
  if (base.length !== address.length * 2) return false
  return address.every((byte, index) => {
    const mask = base[address.length + index] as number
    return (byte & mask) === ((base[index] as number) & mask)
  })
}

function inDomain(base: string, name: string): boolean {
  return base === '' || name === base || name.endsWith(base.startsWith('.') ? base : `.${base}`)
}

function mailWithin(base: string, name: string): boolean {
  if (base.includes('@')) return name === base
  const host = name.slice(name.lastIndexOf('@') + 1)
  return base.startsWith('.') ? host.endsWith(base) : host === base
}

// A URI is constrained by its host alone.
function hostWithin(base: string, name: Uint8Array): boolean {
  const host = hostOf(name)
  if (host === undefined) return false
  return base.startsWith('.') ? host.endsWith(base) : host === base
}

function hostOf(uri: Uint8Array): string | undefined {
  return /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:[\]]+)(?::\d+)?(?:[/?#]|$)/.exec(asciiOf(uri))?.[1]
}

function asciiOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1').toLowerCase()
}
