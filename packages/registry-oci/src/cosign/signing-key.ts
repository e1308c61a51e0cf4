import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { CallOptions } from '@reflash/core'
import { fail } from './cosign-errors.ts'
import { encryptedLabels } from './key-labels.ts'
import { parsePem } from './pem.ts'
import { describePublicKey, type KeyIdentity } from './public-key.ts'
import { signBlob } from './verify-blob.ts'

/** What signs: a key in memory, or any object of yours that asks a hardware module or a cloud service. */
export interface SigningKey {
  readonly identity: KeyIdentity
  /** `-----BEGIN PUBLIC KEY-----`: what devices' servers are configured with. */
  readonly publicKeyPem: string
  /** A signature over exactly these bytes, in the form that `verifyBlob` documents for this kind of key. */
  sign(payload: Uint8Array, options?: CallOptions): Uint8Array | Promise<Uint8Array>
}

/**
 * Opens a private key that lies unencrypted in a PKCS #8 PEM file (`-----BEGIN PRIVATE KEY-----`); its name says so wherever it is used.
 * @throws `KEY_FILE_INVALID`, `KEY_ENCRYPTED`, `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK`
 */
export function openUnencryptedKey(pem: string): SigningKey {
  const block = parsePem(pem)
  if (typeof block === 'string') throw refuse(block)
  if (encryptedLabels.includes(block.label) || block.label === 'ENCRYPTED PRIVATE KEY') {
    throw fail('KEY_ENCRYPTED', `expected an unencrypted private key, found ${block.label}: open it with its password`)
  }
  if (block.label !== 'PRIVATE KEY') throw refuse(`found ${block.label}`)
  return signingKey(privateKeyOf(block.bytes))
}

/** @throws `KEY_FILE_INVALID` where the bytes are not PKCS #8 (RFC 5958). */
export function privateKeyOf(der: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  } catch {
    // What OpenSSL says is dropped: it could quote the key.
    throw refuse('its content is not a PKCS #8 private key')
  }
}

/** Keeps the private half in a closure, so that no log or dump of the object shows it. */
export function signingKey(privateKey: KeyObject): SigningKey {
  const { algorithm, identity, pem } = describePublicKey(createPublicKey(privateKey))
  return Object.freeze({ identity, publicKeyPem: pem, sign: (payload: Uint8Array) => signBlob(algorithm, privateKey, payload) })
}

function refuse(why: string): Error {
  return fail('KEY_FILE_INVALID', `expected a private key (-----BEGIN PRIVATE KEY-----): ${why}`)
}
