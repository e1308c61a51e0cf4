/** x^0 and x^8 in the ring of CRC-32: bit 31 is the coefficient of x^0, as CRC-32 counts. */
const one = 0x8000_0000
const x8 = 0x0080_0000
/** IEEE 802.3, reflected, without x^32. */
const polynomial = 0xedb8_8320

/** Product of two polynomials over GF(2), modulo that of CRC-32. */
function times(a: number, b: number): number {
  let product = 0
  let shifted = b
  for (let left = a; left !== 0; left <<= 1) {
    if (left < 0) product ^= shifted
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ polynomial
  }
  return product
}

/** What a CRC-32 is multiplied with where so many bytes follow: x^(8 * bytes). */
function shiftOf(bytes: number): number {
  let shift = one | 0
  let power = x8
  for (let left = bytes; left > 0; left >>>= 1) {
    if ((left & 1) === 1) shift = times(shift, power)
    power = times(power, power)
  }
  return shift
}

// Chunks of a request are equally long, but for one.
let lastBytes = 0
let lastShift = one | 0

/** The CRC-32 of `a` followed by `b`, from that of each and the length of `b`: no byte is read again. */
export function crc32Join(a: number, b: number, bytesOfB: number): number {
  if (bytesOfB !== lastBytes) {
    lastShift = shiftOf(bytesOfB)
    lastBytes = bytesOfB
  }
  return (times(a | 0, lastShift) ^ b) >>> 0
}
