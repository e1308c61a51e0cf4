import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSwu, describeSwu, packCpio, testSigner } from '@reflash/target-swupdate/testing'
import { describe, expect, it, test } from 'vitest'
import { sequence } from '../src/testing/der.ts'
import { inspected, verdict } from './support/inspected.ts'

const image = new Uint8Array(1000).fill(5)
const utf8 = (text: string): Uint8Array => Buffer.from(text)
const options = { version: '1.1.0', image }
const describedBy = (text: string): Uint8Array =>
  packCpio([
    { name: 'sw-description', bytes: utf8(text) },
    { name: 'image.bin', bytes: image },
  ])
const root = testSigner({ name: 'root', ca: true })
const signer = testSigner({ name: 'signer', issuer: root })

describe('an update', () => {
  it('tells its version and hardware', async () => {
    const swu = buildSwu({ ...options, hardware: ['1.0', 'board:2.0'] })
    expect(await inspected(swu, {})).toEqual({ size: swu.length, version: '1.1.0', facts: { hardware: ['1.0', 'board:2.0'] } })
  })

  test.each([
    ['no cpio', utf8('PK\x03\x04'.repeat(100)), 'NOT_SWU'],
    ['cpio without checksums', utf8(`070701${'0'.repeat(200)}`), 'NOT_SWU'],
    ['the image first', packCpio([{ name: 'image.bin', bytes: image }]), 'SWU_ORDER'],
    [
      'a member twice',
      packCpio(Array.from({ length: 2 }, () => ({ name: 'sw-description', bytes: utf8(describeSwu(options)) }))),
      'SWU_ORDER',
    ],
    [
      'the signature last',
      packCpio(
        [
          ['sw-description', describeSwu(options)],
          ['image.bin', 'x'],
          ['sw-description.sig', 'x'],
        ].map(([name = '', text = '']) => ({ name, bytes: utf8(text) })),
      ),
      'SWU_ORDER',
    ],
    [
      'more members than any system has',
      packCpio(Array.from({ length: 257 }, (_, index) => ({ name: `m${index}`, bytes: utf8('') }))),
      'SWU_LIMIT',
    ],
    ['a description that goes on for ever', describedBy(' '.repeat(300_000)), 'SWU_LIMIT'],
    ['a description that is not libconfig', describedBy('{"software": {}}'), 'SW_DESCRIPTION_INVALID'],
    ['a description that opens files', describedBy('@include "/etc/passwd"'), 'SW_DESCRIPTION_INVALID'],
    ['no version', describedBy('software = { images: ( { filename = "image.bin"; } ); }'), 'SW_DESCRIPTION_INVALID'],
    [
      'a description with another prototype',
      describedBy('software = { version = "1"; __proto__ = { x = 1; }; }'),
      'SW_DESCRIPTION_INVALID',
    ],
    ['levels without end', describedBy(`software = ${'{ a = '.repeat(1000)}`), 'SW_DESCRIPTION_INVALID'],
    [
      'an image that nothing binds',
      describedBy('software = { version = "1"; images: ( { filename = "image.bin"; } ); }'),
      'SWU_HASH_MISSING',
    ],
    [
      'a hash that the build system has not filled in',
      describedBy('software = { version = "1"; images: ( { filename = "image.bin"; sha256 = "$swupdate_get_sha256(image.bin)"; } ); }'),
      'SW_DESCRIPTION_INVALID',
    ],
    [
      'an image that is not there',
      describedBy('software = { version = "1"; images: ( { filename = "other.bin"; } ); }'),
      'SWU_IMAGE_MISSING',
    ],
    ['another image', buildSwu({ ...options, sha256: 'a'.repeat(64) }), 'SWU_HASH_MISMATCH'],
  ])('is refused with %s', async (_, swu, code) => {
    expect(await verdict(swu)).toBe(code)
  })

  test.each([
    ['a name that no member can have', `{ filename = "${'n'.repeat(20_000)}"; sha256 = ""; }`, 'SW_DESCRIPTION_INVALID'],
    [
      'thousands of images that are not there',
      Array.from({ length: 5000 }, (_, at) => `{ filename = "${at}"; }`).join(', '),
      'SWU_IMAGE_MISSING',
    ],
  ])('is refused in a few words where it describes %s', async (_, images, code) => {
    const refused = await inspected(describedBy(`software = { version = "1"; images: ( ${images} ); }`), {}).catch(
      (error: unknown) => error,
    )
    expect(refused).toMatchObject({ code })
    expect((refused as Error).message.length).toBeLessThan(16_384)
  })

  it('is bound in every mode, or in none', async () => {
    const bound = describeSwu(options)
    const loose = bound.replace(/(copy1 = .*)\n/, (line) => `${line}${line.replace('copy1', 'copy2').replace(/sha256 = "[^"]*";/, '')}`)
    expect(await verdict(describedBy(bound))).toBe('ok')
    expect(await verdict(describedBy(loose))).toBe('SWU_HASH_MISSING')
  })

  it('is refused at every cut, and with any byte of its members changed', async () => {
    const swu = buildSwu(options)
    const end = Buffer.from(swu).indexOf('TRAILER!!!') + 11
    const image = Buffer.from(swu).indexOf('image.bin\0')
    for (let at = 0; at < end; at += 37) expect(await verdict(swu.subarray(0, at)), `cut at ${at}`).not.toBe('ok')
    for (let at = image + 12; at < image + 1000; at += 41) {
      const copy = swu.slice()
      copy[at] = (copy[at] as number) ^ 1
      expect(await verdict(copy), `changed at ${at}`).toBe('SWU_CHECKSUM')
    }
  })
})

describe('a signature', () => {
  const swu = buildSwu({ ...options, sign: signer.sign })
  const by = (sign: (bytes: Uint8Array) => Uint8Array): Uint8Array => buildSwu({ ...options, sign })
  const issuedBy = (extra: Parameters<typeof testSigner>[0]): Uint8Array => by(testSigner({ name: 's2', issuer: root, ...extra }).sign)

  it('counts by the signer that is trusted, or by its authority', async () => {
    expect(await verdict(swu, { signers: [signer.certificate] })).toBe('ok')
    expect(await verdict(swu, { signers: [root.certificate] })).toBe('ok')
    expect(await verdict(issuedBy({ purpose: '1.3.6.1.5.5.7.3.3' }), { signers: [root.certificate] })).toBe('ok')
  })

  test.each([
    ['is missing', buildSwu(options), 'SWU_UNSIGNED'],
    ['is of a stranger', by(testSigner().sign), 'SWU_SIGNATURE_INVALID'],
    ['is over other bytes', by((bytes) => signer.sign(Buffer.concat([bytes, Buffer.from(' ')]))), 'SWU_SIGNATURE_INVALID'],
    ['is of a certificate for TLS', issuedBy({ purpose: '1.3.6.1.5.5.7.3.1' }), 'SWU_SIGNATURE_INVALID'],
    ['is of a certificate that has ended', issuedBy({ notAfter: new Date('2026-01-01') }), 'SWU_SIGNATURE_INVALID'],
    ['is of a certificate that has not begun', issuedBy({ notBefore: new Date('2027-01-01') }), 'SWU_SIGNATURE_INVALID'],
    ['was issued by a signer, who is no authority', issuedBy({ issuer: signer }), 'SWU_SIGNATURE_INVALID'],
    ['is not CMS', by(() => sequence(new Uint8Array(10))), 'SWU_SIGNATURE_INVALID'],
    ['nests until a stack ends', by(() => Buffer.from('3080'.repeat(20_000), 'hex')), 'SWU_SIGNATURE_INVALID'],
    [
      'has a bit changed',
      by((bytes) => {
        const made = signer.sign(bytes)
        made[made.length - 3] = (made[made.length - 3] as number) ^ 1
        return made
      }),
      'SWU_SIGNATURE_INVALID',
    ],
  ])('does not count that %s', async (_, bytes, code) => {
    expect(await verdict(bytes, { signers: [root.certificate] })).toBe(code)
  })

  it('of OpenSSL counts, by issuer or by key identifier, with a key of RSA or PSS, with attributes or without', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reflash-swu-'))
    try {
      const path = (name: string): string => join(folder, name)
      const openssl = (...args: readonly string[]): Buffer => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
      openssl(
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        'key',
        '-out',
        'crt',
        '-days',
        '9000',
        '-subj',
        '/CN=sw',
        '-addext',
        'extendedKeyUsage=emailProtection',
      )
      const signers = [readFileSync(path('crt'), 'utf8')]
      for (const extra of [[], ['-keyid'], ['-noattr'], ['-keyopt', 'rsa_padding_mode:pss'], ['-md', 'sha512'], ['-nocerts']]) {
        const made = by((bytes) => {
          writeFileSync(path('sw-description'), bytes)
          openssl(
            'cms',
            '-sign',
            '-in',
            'sw-description',
            '-out',
            'sig',
            '-signer',
            'crt',
            '-inkey',
            'key',
            '-outform',
            'DER',
            '-nosmimecap',
            '-binary',
            ...extra,
          )
          return readFileSync(path('sig'))
        })
        expect(await verdict(made, { signers }, new Date()), extra.join(' ')).toBe('ok')
        expect(await verdict(made, { signers: [root.certificate] }, new Date()), extra.join(' ')).toBe('SWU_SIGNATURE_INVALID')
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('options', () => {
  test.each([
    ['no model', { models: [] }],
    ['no signer', { signers: [] }],
    ['a signer that is no PEM', { signers: ['secret'] }],
    ['a private key', { signers: [signer.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string] }],
  ])('are refused with %s, and not shown', async (_, given) => {
    let message = ''
    try {
      await inspected(new Uint8Array(0), given)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(/^(models|signers)/)
    expect(message).not.toContain('secret')
  })
})
