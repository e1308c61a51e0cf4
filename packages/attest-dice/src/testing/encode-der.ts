/** One element of DER. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const value = Buffer.concat(contents)
  const { length } = value
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return new Uint8Array(Buffer.concat([Buffer.from(head), value]))
}

/** An INTEGER in the fewest bytes; the tag may be an implicit one. */
export function derInteger(value: number | bigint, tag = 0x02): Uint8Array {
  const octets: number[] = []
  let rest = BigInt(value)
  do {
    octets.unshift(Number(BigInt.asUintN(8, rest)))
    rest >>= 8n
  } while (!(rest === 0n && (octets[0] as number) < 0x80) && !(rest === -1n && (octets[0] as number) >= 0x80))
  return der(tag, Uint8Array.from(octets))
}

/** An OBJECT IDENTIFIER, from dots. */
export function derOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [first * 40 + second, ...rest].flatMap((part) => {
    const digits = [part % 128]
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) | 0x80)
    return digits
  })
  return der(0x06, Uint8Array.from(octets))
}

/** A BIT STRING of named bits, without trailing zeros. */
export function derBits(bits: readonly number[], tag = 0x03): Uint8Array {
  if (bits.length === 0) return der(tag, Uint8Array.of(0))
  const last = Math.max(...bits)
  const octets = new Uint8Array(1 + (last >> 3) + 1)
  octets[0] = 7 - (last & 7)
  for (const bit of bits) octets[1 + (bit >> 3)] = (octets[1 + (bit >> 3)] as number) | (0x80 >> (bit & 7))
  return der(tag, octets)
}

export const derText = (text: string, tag = 0x0c): Uint8Array => der(tag, new TextEncoder().encode(text))
export const derOctets = (octets: Uint8Array, tag = 0x04): Uint8Array => der(tag, octets)

/** UTCTime until 2049, GeneralizedTime from then on. */
export function derTime(time: Date): Uint8Array {
  const digits = time.toISOString().replace(/\.\d+Z$|[-:T]/g, '')
  return time.getUTCFullYear() < 2050 ? derText(`${digits.slice(2)}Z`, 0x17) : derText(`${digits}Z`, 0x18)
}

/** A Name of one serialNumber and one commonName, as DICE certificates have. */
export function derName({ commonName, serialNumber }: { readonly commonName?: string; readonly serialNumber?: string }): Uint8Array {
  const rdn = (oid: string, value: Uint8Array): Uint8Array => der(0x31, der(0x30, derOid(oid), value))
  return der(
    0x30,
    ...(commonName === undefined ? [] : [rdn('2.5.4.3', derText(commonName))]),
    ...(serialNumber === undefined ? [] : [rdn('2.5.4.5', derText(serialNumber, 0x13))]),
  )
}
