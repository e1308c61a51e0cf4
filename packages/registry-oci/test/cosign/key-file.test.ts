import { createPrivateKey, scryptSync } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { describe, expect, test } from 'vitest'
import { encodeBase64 } from '../../src/cosign/base64.ts'
import { encryptKey, generateKeyPair, openKey } from '../../src/cosign/key-file.ts'
import { formatPem, parsePem } from '../../src/cosign/pem.ts'
import { parsePublicKey } from '../../src/cosign/public-key.ts'
import { openUnencryptedKey } from '../../src/cosign/signing-key.ts'
import { verifyBlob } from '../../src/cosign/verify-blob.ts'
import { ecKey, edKey, rsaKey, utf8 } from './scene.ts'
import { vectors } from './vectors.ts'

const password = 'correct horse'
const message = utf8('message')

interface File {
  kdf: { name: string; params: { N: number; r: number; p: number }; salt: string }
  cipher: { name: string; nonce: string }
  ciphertext: string
}

const der = ecKey('P-256').export({ type: 'pkcs8', format: 'der' })

/** Deriving is most of the work: every key file here has the same salt and password. */
const params = { N: 16_384, r: 8, p: 1 }
const [salt, nonce] = [new Uint8Array(32).fill(1), new Uint8Array(24).fill(2)]
const secret = scryptSync(password, salt, 32, { ...params, maxmem: 2 ** 26 })

/** A key file made without our writer, cheap to open, and changed as the test wants. */
function keyFile(change: (file: File) => unknown = () => {}, plain: Uint8Array = der, label = 'ENCRYPTED SIGSTORE PRIVATE KEY'): string {
  const file: File = {
    kdf: { name: 'scrypt', params: { ...params }, salt: encodeBase64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: encodeBase64(nonce) },
    ciphertext: encodeBase64(xsalsa20poly1305(secret, nonce).encrypt(plain)),
  }
  const changed = change(file)
  return formatPem(label, utf8(typeof changed === 'string' ? changed : JSON.stringify(file)))
}

describe('a cosign.key file', () => {
  test('that generateKeyPair makes opens with its password, and its public key verifies what it signs', async () => {
    const pair = await generateKeyPair(password)
    const key = await openKey(pair.privateKeyPem, password)
    expect(key.publicKeyPem).toBe(pair.publicKeyPem)
    expect(parsePublicKey(pair.publicKeyPem)).toMatchObject({ algorithm: 'ecdsa-p256', identity: key.identity })
    expect(verifyBlob(parsePublicKey(pair.publicKeyPem), message, await key.sign(message))).toBe(true)
    const block = parsePem(pair.privateKeyPem)
    const file = JSON.parse(new TextDecoder().decode(typeof block === 'string' ? utf8('{}') : block.bytes)) as File
    expect(block).toMatchObject({ label: 'ENCRYPTED SIGSTORE PRIVATE KEY' })
    expect(file.kdf).toMatchObject({ name: 'scrypt', params: { N: 65_536, r: 8, p: 1 } })
  })

  test('is another one each time, for the same key and password', async () => {
    expect(await encryptKey(der, password)).not.toBe(await encryptKey(der, password))
  })

  test('may have the empty password, or one of bytes', async () => {
    expect((await openKey(await encryptKey(der, ''), new Uint8Array())).identity).toMatch(/^key:sha256:/)
    await expect(openKey(keyFile(), '')).rejects.toMatchObject({ code: 'KEY_PASSWORD_WRONG' })
    expect((await openKey(keyFile(), utf8(password))).identity).toBe((await openKey(keyFile(), password)).identity)
  })

  test.each([
    ['RSA', () => rsaKey(2048)],
    ['P-384', () => ecKey('P-384')],
    ['Ed25519', edKey],
  ])('may hold a key of %s', async (_, make) => {
    const pem = make().export({ type: 'pkcs8', format: 'pem' }) as string
    const key = await openKey(
      keyFile(() => {}, createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })),
      password,
    )
    expect(key.identity).toBe(openUnencryptedKey(pem).identity)
    expect(verifyBlob(parsePublicKey(key.publicKeyPem), message, await key.sign(message))).toBe(true)
  })

  test.each(['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY'])('may be called %s', async (label) => {
    expect(
      (
        await openKey(
          keyFile(() => {}, der, label),
          password,
        )
      ).identity,
    ).toMatch(/^key:sha256:/)
  })

  test('with a wrong password or an altered ciphertext says so, and neither the password nor the content', async () => {
    const altered = keyFile((file) => {
      file.ciphertext = `B${file.ciphertext.slice(1)}`
    })
    for (const [pem, text] of [
      [keyFile(), 'hunter2'],
      [altered, password],
    ] as const) {
      const error: Error = await openKey(pem, text).then(
        () => new Error('opened'),
        (reason: Error) => reason,
      )
      expect(error).toMatchObject({ code: 'KEY_PASSWORD_WRONG', fault: 'invalid' })
      expect(JSON.stringify(error) + error.stack + String(error.cause)).not.toMatch(/hunter2|correct horse/)
    }
  })

  test.each<[string, string, (file: File) => unknown]>([
    ['N = 2^21', 'KEY_FILE_TOO_COSTLY', (file) => Object.assign(file.kdf.params, { N: 2 ** 21 })],
    ['r = 17', 'KEY_FILE_TOO_COSTLY', (file) => Object.assign(file.kdf.params, { r: 17 })],
    ['p = 17', 'KEY_FILE_TOO_COSTLY', (file) => Object.assign(file.kdf.params, { p: 17 })],
    ['too much in sum', 'KEY_FILE_TOO_COSTLY', (file) => Object.assign(file.kdf.params, { N: 2 ** 20, r: 8, p: 2 })],
    ['N that is no power of two', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { N: 65_535 })],
    ['N = 8192', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { N: 8192 })],
    ['N = 0', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { N: 0 })],
    ['N = 65536.5', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { N: 65_536.5 })],
    ['N as text', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { N: '65536' })],
    ['negative r', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf.params, { r: -8 })],
    ['another kdf', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf, { name: 'pbkdf2' })],
    ['another cipher', 'KEY_FILE_INVALID', (file) => Object.assign(file.cipher, { name: 'none' })],
    ['a short salt', 'KEY_FILE_INVALID', (file) => Object.assign(file.kdf, { salt: encodeBase64(new Uint8Array(31)) })],
    ['a long nonce', 'KEY_FILE_INVALID', (file) => Object.assign(file.cipher, { nonce: encodeBase64(new Uint8Array(25)) })],
    ['a nonce of other base64', 'KEY_FILE_INVALID', (file) => Object.assign(file.cipher, { nonce: ` ${file.cipher.nonce}` })],
    ['no ciphertext', 'KEY_FILE_INVALID', (file) => Object.assign(file, { ciphertext: '' })],
    ['a ciphertext of a tag only', 'KEY_FILE_INVALID', (file) => Object.assign(file, { ciphertext: encodeBase64(new Uint8Array(16)) })],
    ['a ciphertext of null', 'KEY_FILE_INVALID', (file) => Object.assign(file, { ciphertext: null })],
    ['an unknown key', 'KEY_FILE_INVALID', (file) => Object.assign(file, { next: 1 })],
    ['a key twice', 'KEY_FILE_INVALID', (file) => JSON.stringify(file).replace('{"kdf"', '{"kdf":1,"kdf"')],
    ['something behind its JSON', 'KEY_FILE_INVALID', (file) => `${JSON.stringify(file)}{}`],
    ['no JSON', 'KEY_FILE_INVALID', () => 'hello'],
    ['a list', 'KEY_FILE_INVALID', () => '[]'],
  ])('with %s is refused before any work is done', async (_, code, change) => {
    const before = process.cpuUsage()
    await expect(openKey(keyFile(change), password)).rejects.toMatchObject({ code, fault: 'invalid' })
    // The costliest of them would take seconds.
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000)
  })

  test('that holds something else than a private key, or a weak one, is refused', async () => {
    await expect(
      openKey(
        keyFile(() => {}, utf8('not DER')),
        password,
      ),
    ).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' })
    const weak = rsaKey(1024).export({ type: 'pkcs8', format: 'der' })
    await expect(
      openKey(
        keyFile(() => {}, weak),
        password,
      ),
    ).rejects.toMatchObject({ code: 'PUBLIC_KEY_WEAK' })
    await expect(encryptKey(weak, password)).rejects.toMatchObject({ code: 'PUBLIC_KEY_WEAK' })
  })

  test('is not opened for a caller who cancelled', async () => {
    await expect(openKey(keyFile(), password, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
  })
})

describe('an unencrypted private key', () => {
  const pem = ecKey('P-256').export({ type: 'pkcs8', format: 'pem' }) as string

  test('is opened by the function whose name says so, and by no other', async () => {
    expect(openUnencryptedKey(pem).identity).toMatch(/^key:sha256:[0-9a-f]{64}$/)
    await expect(openKey(pem, password)).rejects.toMatchObject({ code: 'KEY_NOT_ENCRYPTED' })
    expect(() => openUnencryptedKey(keyFile())).toThrow(expect.objectContaining({ code: 'KEY_ENCRYPTED' }))
    await expect(encryptKey(keyFile(), password)).rejects.toMatchObject({ code: 'KEY_ENCRYPTED' })
    expect(() => openUnencryptedKey(openUnencryptedKey(pem).publicKeyPem)).toThrow(expect.objectContaining({ code: 'KEY_FILE_INVALID' }))
  })

  test('becomes a cosign.key by encryptKey', async () => {
    expect((await openKey(await encryptKey(pem, password), password)).identity).toBe(openUnencryptedKey(pem).identity)
  })

  test('is not shown by the object that signs with it', () => {
    const key = openUnencryptedKey(pem)
    const secret = pem.split('\n')[1] as string
    expect(JSON.stringify(key) + String(Object.values(key))).not.toContain(secret.slice(0, 40))
    expect(Object.keys(key)).toEqual(['identity', 'publicKeyPem', 'sign'])
  })
})

const skopeo = vectors('sigstore/skopeo-1.14.4')

describe.skipIf(skopeo === undefined)('key files of skopeo 1.14.4 and cosign', () => {
  const text = (name: string): string => new TextDecoder().decode(skopeo?.read(name))

  test.each([
    ['cosign.key', 'cosign.pub'],
    ['cosignold.key', 'cosignold.pub'],
    ['skgen.private', 'skgen.pub'],
  ])('%s opens with its passphrase and belongs to %s', async (privateName, publicName) => {
    const key = await openKey(text(privateName), text('passphrase.txt').trim())
    expect(key.identity).toBe(parsePublicKey(text(publicName)).identity)
    await expect(openKey(text(privateName), 'S3cret')).rejects.toMatchObject({ code: 'KEY_PASSWORD_WRONG' })
  })
})
