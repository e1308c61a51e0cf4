import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { streamOf } from '@reflash/core'
import { swupdateTarget } from '@reflash/target-swupdate'
import { testSigner } from '@reflash/target-swupdate/testing'
import { describe, expect, it } from 'vitest'
import { readCpio } from '../src/cpio.ts'
import { parseSwDescription } from '../src/index.ts'
import { inspected, verdict } from './support/inspected.ts'
import { vectors } from './support/vectors.ts'

const folder = vectors()
const read = (name: string): Uint8Array => readFileSync(join(folder as string, name))
const stranger = testSigner().certificate

/** The certificate inside a CMS signature is the only certificate that these updates bring along. */
async function signerOf(name: string): Promise<string> {
  const members = await readCpio(streamOf(read(name)), {
    signal: new AbortController().signal,
    keep: (member) => (member === 'sw-description.sig' ? 65_536 : undefined),
  })
  const signature = Buffer.from(members.find(({ bytes }) => bytes !== undefined)?.bytes ?? [])
  // [0] IMPLICIT certificates: the first SEQUENCE with a two-byte length inside the bag.
  const bag = signature.indexOf(Buffer.from([0xa0, 0x82]), 20)
  const at = signature.indexOf(Buffer.from([0x30, 0x82]), bag)
  const der = signature.subarray(at, at + 4 + signature.readUInt16BE(at + 2))
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
}

describe.runIf(folder !== undefined)('updates that Debian made', () => {
  it('are read, and signed as OpenSSL signs', async () => {
    const signers = [await signerOf('test-cms.swu')]
    expect(await inspected(read('test-cms.swu'), { signers })).toMatchObject({ size: read('test-cms.swu').length })
    expect(await verdict(read('test-cms.swu'), { signers: [stranger] })).toBe('SWU_SIGNATURE_INVALID')
  })

  it('are checked by an RSA key with PSS', async () => {
    const key = Buffer.from(read('pub.pem')).toString()
    expect(await verdict(read('test-rsapss.swu'), { signers: [key] })).toBe('ok')
    expect(await verdict(read('test-cms.swu'), { signers: [key] })).toBe('SWU_SIGNATURE_INVALID')
  })

  it('are refused where swupdate refuses them: a changed image, a changed description', async () => {
    const signers = [await signerOf('test-cms.swu')]
    expect(await verdict(read('bad-fw.swu'), { signers })).toBe('SWU_HASH_MISMATCH')
    expect(await verdict(read('bad-desc.swu'), { signers })).toBe('SWU_SIGNATURE_INVALID')
  })

  it('describe themselves', async () => {
    const [first] = await readCpio(streamOf(read('test-cms.swu')), { signal: new AbortController().signal, keep: () => 10_000_000 })
    const description = parseSwDescription(first?.bytes as Uint8Array)
    expect(description.images.length).toBeGreaterThan(0)
    expect(swupdateTarget({ models: ['x'], signers: 'unchecked' }).opens).toContain('left to the devices')
  })
})
