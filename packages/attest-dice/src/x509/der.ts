/** One element of DER. Views into the bytes that were read. */
export interface Der {
  /** The identifier octet: class, constructed bit, number. */
  readonly tag: number
  readonly value: Uint8Array
  /** Header and value. */
  readonly whole: Uint8Array
  /** Of constructed elements. */
  readonly children: readonly Der[]
}

/** X.509 nests about ten deep with its longest extension; a chain of lengths must not exhaust the stack. */
const depthLimit = 24
/** The largest known certificate of DICE has under 200 elements. */
const elementLimit = 4_096

/** Says why bytes are not DER. Internal: it never leaves the package. */
export class NotDer extends Error {
  override readonly name = 'NotDer'
}

/**
 * Reads exactly one element, strictly: ITU-T X.690, 8 and 10. Definite lengths in the fewest bytes, primitive strings, canonical
 * booleans, integers and padding, nothing behind.
 * @throws NotDer
 */
export function readDer(bytes: Uint8Array): Der {
  const budget = { left: elementLimit }
  const found = element(bytes, 0, 0, budget)
  if (found.whole.length !== bytes.length) throw new NotDer(`${bytes.length - found.whole.length} bytes behind the end`)
  return found
}

function element(bytes: Uint8Array, start: number, depth: number, budget: { left: number }): Der {
  if (depth > depthLimit) throw new NotDer(`nested more than ${depthLimit} deep`)
  budget.left -= 1
  if (budget.left < 0) throw new NotDer(`more than ${elementLimit} elements`)
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined) throw new NotDer('ends within a header')
  // Tag numbers from 31 on take more octets; no certificate has them.
  if ((tag & 0x1f) === 0x1f) throw new NotDer('a tag number above 30')
  let at = start + 2
  let length = first
  if (first === 0x80) throw new NotDer('an indefinite length')
  if (first > 0x80) {
    const octets = first & 0x7f
    if (octets > 3) throw new NotDer('a length of more than 3 octets')
    length = 0
    for (let index = 0; index < octets; index++) {
      const octet = bytes[at + index]
      if (octet === undefined) throw new NotDer('ends within a length')
      length = length * 256 + octet
    }
    at += octets
    if (length < 0x80 || length < 256 ** (octets - 1)) throw new NotDer('a length in more octets than it needs')
  }
  const end = at + length
  if (end > bytes.length) throw new NotDer('ends within a value')
  const value = bytes.subarray(at, end)
  const children: Der[] = []
  if ((tag & 0x20) !== 0) {
    for (let next = at; next < end; ) {
      const child = element(bytes.subarray(0, end), next, depth + 1, budget)
      children.push(child)
      next += child.whole.length
    }
  }
  checkUniversal(tag, value)
  return { tag, value, whole: bytes.subarray(start, end), children }
}

function checkUniversal(tag: number, value: Uint8Array): void {
  if (tag >> 6 !== 0) return
  const constructed = (tag & 0x20) !== 0
  const number = tag & 0x1f
  if ((number === 0x10 || number === 0x11) !== constructed)
    throw new NotDer(`a ${constructed ? 'constructed' : 'primitive'} element of type ${number}`)
  switch (number) {
    case 0x01:
      if (value.length !== 1 || (value[0] !== 0x00 && value[0] !== 0xff)) throw new NotDer('a boolean that is neither 00 nor FF')
      return
    case 0x02:
    case 0x0a:
      checkInteger(value)
      return
    case 0x03:
      checkBits(value)
      return
    case 0x05:
      if (value.length !== 0) throw new NotDer('a NULL with content')
      return
    case 0x06:
      if (value.length === 0 || ((value.at(-1) as number) & 0x80) !== 0) throw new NotDer('an object identifier that does not end')
      if (value.some((octet, index) => octet === 0x80 && (index === 0 || ((value[index - 1] as number) & 0x80) === 0)))
        throw new NotDer('an object identifier with a padded part')
      return
  }
}

/** @throws NotDer where an integer has more octets than it needs */
export function checkInteger(value: Uint8Array): void {
  const [first, second] = value
  if (first === undefined) throw new NotDer('an integer without content')
  if (second === undefined) return
  if ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80)) throw new NotDer('an integer in more octets than it needs')
}

/** @throws NotDer where unused bits are too many, or not zero */
export function checkBits(value: Uint8Array): void {
  const [unused] = value
  if (unused === undefined || unused > 7 || (value.length === 1 && unused !== 0))
    throw new NotDer('a bit string with a wrong count of unused bits')
  if (unused > 0 && ((value.at(-1) as number) & ((1 << unused) - 1)) !== 0) throw new NotDer('a bit string whose unused bits are not zero')
}

/** An integer as a number. @throws NotDer beyond 2^53 */
export function integerOf(value: Uint8Array): number {
  checkInteger(value)
  // Six octets stay exact in a double; no security version, layer or path length is near that.
  if (value.length > 6) throw new NotDer('an integer of more than 6 octets')
  let number = ((value[0] as number) & 0x80) !== 0 ? -1 : 0
  for (const octet of value) number = number * 256 + octet
  return number
}

/** An object identifier in dots. @throws NotDer */
export function oidOf(value: Uint8Array): string {
  // The longest of X.509, DICE and vendors take under 20.
  if (value.length > 64) throw new NotDer('an object identifier of more than 64 octets')
  const parts: bigint[] = []
  let part = 0n
  for (const octet of value) {
    part = part * 128n + BigInt(octet & 0x7f)
    if ((octet & 0x80) === 0) {
      parts.push(part)
      part = 0n
    }
  }
  const [first = 0n, ...rest] = parts
  const top = first < 40n ? 0n : first < 80n ? 1n : 2n
  return [top, first - top * 40n, ...rest].join('.')
}

/** Text in UTF-8. @throws NotDer where it is not */
export function utf8Of(value: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch (cause) {
    throw new NotDer('text that is not UTF-8', { cause })
  }
}

/** Whether two byte strings are equal; none of those compared here is a secret. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}
