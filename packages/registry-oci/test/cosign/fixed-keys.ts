import { checkPrimeSync, createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

// Keys that are the same in every run, so that an input of a seed is: made from a number, and secret to nobody.

function bytesOf(name: string, sizeBytes: number): Buffer {
  return createHash('shake256', { outputLength: sizeBytes }).update(name).digest()
}

export function fixedEdKey(name: string): KeyObject {
  // RFC 8410: version, algorithm 1.3.101.112, the 32 bytes of the seed.
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), bytesOf(name, 32)])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

const curves = {
  'P-256': ['prime256v1', 32],
  'P-384': ['secp384r1', 48],
  'P-521': ['secp521r1', 66],
  secp256k1: ['secp256k1', 32],
} as const

export function fixedEcKey(crv: keyof typeof curves, name: string): KeyObject {
  const [curve, sizeBytes] = curves[crv]
  const ecdh = createECDH(curve)
  const d = bytesOf(name, sizeBytes)
  // Below the order of every curve.
  d[0] = 0
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const [x, y] = [point.subarray(1, 1 + sizeBytes), point.subarray(1 + sizeBytes)].map((part) => part.toString('base64url'))
  return createPrivateKey({ key: { kty: 'EC', crv, d: d.toString('base64url'), x: x as string, y: y as string }, format: 'jwk' })
}

export function fixedRsaKey(bits: number, exponent: number, name: string): KeyObject {
  const e = BigInt(exponent)
  const [p, q] = ['p', 'q'].map((part) => primeFrom(bytesOf(name + part, bits / 16), e)) as [bigint, bigint]
  const d = inverse(e, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const fields = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, base64Url(value)]))
  return createPrivateKey({ key: { kty: 'RSA', ...fields }, format: 'jwk' })
}

/** The modulus is anything: whoever reads a public key cannot tell. */
export function fixedRsaPublicKey(bits: number, exponent: number, name: string): KeyObject {
  const n = bytesOf(name, bits / 8)
  n[0] = (n[0] as number) | 0x80
  n[n.length - 1] = (n.at(-1) as number) | 1
  return createPublicKey({ key: { kty: 'RSA', n: n.toString('base64url'), e: base64Url(BigInt(exponent)) }, format: 'jwk' })
}

function primeFrom(start: Buffer, e: bigint): bigint {
  start[0] = (start[0] as number) | 0xc0
  for (let candidate = BigInt(`0x${start.toString('hex')}`) | 1n; ; candidate += 2n) {
    if ((candidate - 1n) % e !== 0n && checkPrimeSync(candidate)) return candidate
  }
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y]
  return ((x % modulus) + modulus) % modulus
}

function base64Url(value: bigint): string {
  const hex = value.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
}
