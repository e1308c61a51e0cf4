/** One DER value. X.690, 8.1. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  if (length > 0xffff) throw new RangeError(`expected at most 65535 bytes of content, found ${length}`)
  return new Uint8Array(Buffer.concat([Buffer.from([tag, ...size]), content]))
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => der(0x30, ...parts)
export const setOf = (...parts: readonly Uint8Array[]): Uint8Array => der(0x31, ...parts)
export const integer = (value: number): Uint8Array => der(0x02, Uint8Array.of(value))
export const octets = (bytes: Uint8Array): Uint8Array => der(0x04, bytes)
export const bits = (bytes: Uint8Array): Uint8Array => der(0x03, Uint8Array.of(0), bytes)
export const utf8Text = (text: string): Uint8Array => der(0x0c, Buffer.from(text))

/** An object identifier. X.690, 8.19. */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(128 + (left % 128))
    bytes.push(...groups)
  }
  return der(0x06, Uint8Array.from(bytes))
}

/** UTCTime, RFC 5280, 4.1.2.5.1: years from 1950 to 2049. */
export function utcTime(at: Date): Uint8Array {
  const digits = at.toISOString().replace(/\D/g, '')
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`))
}
