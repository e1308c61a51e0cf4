import { generateKeyPair as generate, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { type CallOptions, throwIfAborted } from '@reflash/core'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { fail } from './cosign-errors.ts'
import { encryptedLabels } from './key-labels.ts'
import { formatPem, parsePem } from './pem.ts'
import { privateKeyOf, type SigningKey, signingKey } from './signing-key.ts'
import { isObject, parseStrictJson, unknownKeys } from './strict-json.ts'

/*
 * cosign.key: PEM around compact JSON (go-securesystemslib, package encrypted).
 *
 * | key              | value                                                              |
 * |------------------|--------------------------------------------------------------------|
 * | kdf.name         | `scrypt` (RFC 7914), which makes a key of 32 bytes                 |
 * | kdf.params       | N, r, p; cosign writes 65536, 8, 1 and reads N = 32768 to 131072   |
 * | kdf.salt         | base64 of 32 random bytes                                          |
 * | cipher.name      | `nacl/secretbox`: XSalsa20 and Poly1305                            |
 * | cipher.nonce     | base64 of 24 random bytes                                          |
 * | ciphertext       | base64 of the tag (16 bytes) and the encrypted PKCS #8 DER         |
 */
interface KeyFile {
  readonly N: number
  readonly r: number
  readonly p: number
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
}

const sizes = { key: 32, salt: 32, nonce: 24, tag: 16 }

/** What cosign writes today; costs 64 MiB and about 0.2 s to open. */
const written = { N: 65_536, r: 8, p: 1 }

/** 16 times what cosign writes: 1 GiB and some seconds. What asks for more is meant to stop the machine that opens it. */
const costLimit = { N: 2 ** 20, r: 16, p: 16, product: 2 ** 23 }

export interface KeyPair {
  /** `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----`, the content of cosign.key. */
  readonly privateKeyPem: string
  /** `-----BEGIN PUBLIC KEY-----`, the content of cosign.pub. */
  readonly publicKeyPem: string
}

/** Makes a fresh ECDSA P-256 key pair as `cosign generate-key-pair` does; cosign, skopeo and `openKey` open it with the same password. */
export async function generateKeyPair(password: string | Uint8Array, options: CallOptions = {}): Promise<KeyPair> {
  const { privateKey } = await promisify(generate)('ec', { namedCurve: 'P-256' })
  const der = privateKey.export({ type: 'pkcs8', format: 'der' })
  try {
    return { privateKeyPem: await encrypt(der, password, options), publicKeyPem: signingKey(privateKey).publicKeyPem }
  } finally {
    der.fill(0)
  }
}

/**
 * Encrypts a private key of yours (PKCS #8, PEM or DER) into the content of a cosign.key.
 * @throws `KEY_FILE_INVALID`, `KEY_ENCRYPTED`, `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK`
 */
export async function encryptKey(key: string | Uint8Array, password: string | Uint8Array, options: CallOptions = {}): Promise<string> {
  const der = typeof key === 'string' ? plainDer(key) : key
  // A key that could not be opened again, or that no verifier accepts, must not be put away.
  signingKey(privateKeyOf(der))
  return encrypt(der, password, options)
}

/**
 * Opens the content of a cosign.key file with its password; the empty password is one.
 * @throws `KEY_FILE_INVALID`, `KEY_FILE_TOO_COSTLY`, `KEY_PASSWORD_WRONG`, `KEY_NOT_ENCRYPTED`, `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK`, `ABORTED`
 */
export async function openKey(pem: string, password: string | Uint8Array, options: CallOptions = {}): Promise<SigningKey> {
  const file = parseKeyFile(pem)
  const secret = await deriveKey(password, file, options)
  try {
    return openSealed(file, secret)
  } finally {
    secret.fill(0)
  }
}

/**
 * Opens what a key file holds with the key that its password made.
 * @throws `KEY_PASSWORD_WRONG`, `KEY_FILE_INVALID`, `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK`
 */
export function openSealed({ nonce, ciphertext }: Pick<KeyFile, 'nonce' | 'ciphertext'>, secret: Uint8Array): SigningKey {
  let der: Uint8Array
  try {
    der = xsalsa20poly1305(secret, nonce).decrypt(ciphertext)
  } catch {
    throw fail('KEY_PASSWORD_WRONG', 'the private key file does not open: the password is wrong, or the file was altered')
  }
  try {
    return signingKey(privateKeyOf(der))
  } finally {
    der.fill(0)
  }
}

async function encrypt(der: Uint8Array, password: string | Uint8Array, options: CallOptions): Promise<string> {
  const salt = randomBytes(sizes.salt)
  const nonce = randomBytes(sizes.nonce)
  const secret = await deriveKey(password, { ...written, salt }, options)
  const ciphertext = xsalsa20poly1305(secret, nonce).encrypt(der)
  secret.fill(0)
  const file = {
    kdf: { name: 'scrypt', params: written, salt: encodeBase64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: encodeBase64(nonce) },
    ciphertext: encodeBase64(ciphertext),
  }
  return formatPem(encryptedLabels[0] as string, new TextEncoder().encode(JSON.stringify(file)))
}

async function deriveKey(
  password: string | Uint8Array,
  { N, r, p, salt }: Pick<KeyFile, 'N' | 'r' | 'p' | 'salt'>,
  { signal }: CallOptions,
): Promise<Uint8Array> {
  throwIfAborted(signal)
  // RFC 7914 section 2: 128·N·r bytes for the table and 128·r·p for the blocks; Node's default of 32 MiB is too little even for cosign's N.
  const maxmem = 128 * r * (N + p + 2) + 2 ** 20
  const secret = await new Promise<Uint8Array>((resolve, reject) =>
    scrypt(password, salt, sizes.key, { N, r, p, maxmem }, (error, key) => (error === null ? resolve(key) : reject(error))),
  )
  throwIfAborted(signal)
  return secret
}

/**
 * Reads the content of a cosign.key file without opening it.
 * @throws `KEY_FILE_INVALID`, `KEY_FILE_TOO_COSTLY`, `KEY_NOT_ENCRYPTED`
 */
export function parseKeyFile(pem: string): KeyFile {
  const block = parsePem(pem)
  if (typeof block === 'string') throw refuse(block)
  if (block.label === 'PRIVATE KEY') {
    throw fail('KEY_NOT_ENCRYPTED', 'expected an encrypted private key, found PRIVATE KEY, which anybody who reads the file can use')
  }
  if (!encryptedLabels.includes(block.label)) throw refuse(`found ${block.label}`)
  return keyFileOf(block.bytes)
}

function keyFileOf(bytes: Uint8Array): KeyFile {
  const { kdf, cipher, ciphertext } = fields(parseStrictJson(bytes, refuse), 'its content', ['kdf', 'cipher', 'ciphertext'])
  const { name: kdfName, params, salt } = fields(kdf, 'kdf', ['name', 'params', 'salt'])
  const { name: cipherName, nonce } = fields(cipher, 'cipher', ['name', 'nonce'])
  if (kdfName !== 'scrypt') throw refuse(`its kdf is not scrypt`)
  if (cipherName !== 'nacl/secretbox') throw refuse('its cipher is not nacl/secretbox')
  const { N, r, p } = fields(params, 'kdf.params', ['N', 'r', 'p'])
  const cost = { N: positive(N, 'N'), r: positive(r, 'r'), p: positive(p, 'p') }
  if (cost.N > costLimit.N || cost.r > costLimit.r || cost.p > costLimit.p || cost.N * cost.r * cost.p > costLimit.product) {
    throw fail(
      'KEY_FILE_TOO_COSTLY',
      `expected scrypt with at most N=${costLimit.N}, N·r·p=${costLimit.product}, found N=${cost.N}, r=${cost.r}, p=${cost.p}`,
      { details: cost },
    )
  }
  // RFC 7914 section 6; a smaller N than 16384 was never written by cosign and would make guessing passwords cheap for whoever swapped the file.
  if (cost.N < 2 ** 14 || !Number.isInteger(Math.log2(cost.N))) throw refuse(`N=${cost.N} is not a power of two of at least 16384`)
  return {
    ...cost,
    salt: binary(salt, 'kdf.salt', sizes.salt),
    nonce: binary(nonce, 'cipher.nonce', sizes.nonce),
    ciphertext: sealed(ciphertext),
  }
}

function fields(value: unknown, what: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw refuse(`${what} is not an object`)
  const [unknown] = unknownKeys(value, known)
  if (unknown !== undefined) throw refuse(`${what} has the unknown key ${JSON.stringify(unknown.slice(0, 64))}`)
  return Object.fromEntries(known.map((key) => [key, Object.hasOwn(value, key) ? value[key] : undefined]))
}

function positive(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw refuse(`${what} is not a positive whole number`)
  return value as number
}

function sealed(value: unknown): Uint8Array {
  const bytes = binary(value, 'ciphertext')
  if (bytes.length <= sizes.tag) throw refuse(`ciphertext has ${bytes.length} bytes`)
  return bytes
}

function binary(value: unknown, what: string, sizeBytes?: number): Uint8Array {
  const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
  if (bytes === undefined) throw refuse(`${what} is not base64`)
  if (sizeBytes !== undefined && bytes.length !== sizeBytes) throw refuse(`${what} has ${bytes.length} bytes instead of ${sizeBytes}`)
  return bytes
}

function plainDer(pem: string): Uint8Array {
  const block = parsePem(pem)
  if (typeof block === 'string') throw refuse(block)
  if (encryptedLabels.includes(block.label)) throw fail('KEY_ENCRYPTED', `expected an unencrypted private key, found ${block.label}`)
  if (block.label !== 'PRIVATE KEY') throw refuse(`found ${block.label}`)
  return block.bytes
}

function refuse(why: string): Error {
  return fail('KEY_FILE_INVALID', `expected a private key file (-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----): ${why}`)
}
