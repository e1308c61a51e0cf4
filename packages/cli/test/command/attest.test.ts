import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contextOf, proofMessage } from '@reflash/attest-dice'
import { type IssuedChain, issueChain, pemOf, signWith } from '@reflash/attest-dice/testing'
import { describe, expect, it } from 'vitest'
import { sayReflash, temporaryFolder } from '../testing/run-reflash.ts'

const layers = [
  { vendor: 'example', model: 'lamp', layer: 1, svn: 3, fwids: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }] },
  { vendor: 'example', model: 'lamp', layer: 2, svn: 5, fwids: [{ hashAlg: 'sha256', digest: '22'.repeat(32) }] },
]
const referenceValues = [
  { environment: { vendor: 'example', layer: 1 }, fwids: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }] },
  { environment: { model: 'lamp', layer: 2 }, fwids: [{ hashAlg: 'sha256', digest: '22'.repeat(32) }], minSvn: 5 },
]
const nonce = '00112233445566778899aabbccddeeff'

/** A folder with a chain, its root, reference values and a proof, and the command run in it. */
async function scene(chain: IssuedChain = issueChain({ layers })) {
  const folder = await temporaryFolder()
  const at = (name: string): string => join(folder, name)
  const context = new TextEncoder().encode('confirm d1')
  expect(contextOf({ purpose: 'confirm', deviceId: 'd1' })).toEqual(context)
  const message = proofMessage(Buffer.from(nonce, 'hex'), chain.certificates[0] as Uint8Array, context)
  await writeFile(at('chain.pem'), `a comment\n${chain.certificates.map(pemOf).join('')}`)
  await writeFile(at('root.pem'), chain.rootPem)
  await writeFile(at('rv.json'), JSON.stringify(referenceValues))
  await writeFile(at('proof.bin'), signWith(chain.leafKey, message))
  for (const [index, certificate] of chain.certificates.entries()) await writeFile(at(`${index}.der`), certificate)
  const verify = async (files: readonly string[], ...options: readonly string[]) => {
    const named = options.map((option) => (/\.(pem|json|bin|der)$/.test(option) ? at(option) : option))
    const ran = await sayReflash([
      'attest',
      'verify',
      ...files.map(at),
      '--anchors',
      at('root.pem'),
      '--reference-values',
      at('rv.json'),
      ...named,
    ])
    return { ...ran, document: ran.stdout.startsWith('{') ? JSON.parse(ran.stdout) : undefined }
  }
  return { verify, at, chain }
}

const proven = ['--nonce', nonce, '--proof', 'proof.bin', '--context', 'confirm d1']

describe('reflash attest verify', () => {
  it('affirms a good chain and its proof, and prints tier, checks and measurements', async () => {
    const { verify } = await scene()
    const { exitCode, document } = await verify(['chain.pem'], ...proven, '--json')
    expect(exitCode).toBe(0)
    expect(document).toMatchObject({
      tier: 'affirming',
      measurements: [
        { environment: { vendor: 'example', model: 'lamp', layer: 1 }, digests: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }], svn: 3 },
        { environment: { vendor: 'example', model: 'lamp', layer: 2 }, digests: [{ hashAlg: 'sha256', digest: '22'.repeat(32) }], svn: 5 },
      ],
    })
    for (const { status } of document.checks) expect(['passed', 'skipped']).toContain(status)
    expect(document.checks).toContainEqual({ name: 'PROOF_SIGNATURE', status: 'passed' })
  })

  it('takes a file for each certificate, and tells people the same', async () => {
    const { verify } = await scene()
    const { exitCode, stdout } = await verify(['0.der', '1.der', '2.der', '3.der'], ...proven)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^affirming\n/)
    expect(stdout).toContain(`sha256:${'22'.repeat(32)}`)
    expect(stdout).toContain('passed    PROOF_SIGNATURE')
  })

  it('names the failed check and its certificate, and exits with 3', async () => {
    const { verify } = await scene(issueChain({ layers: [layers[0] as object, { ...layers[1], modes: ['debug'] }] }))
    const { exitCode, document } = await verify(['chain.pem'], ...proven, '--json')
    expect(exitCode).toBe(3)
    expect(document).toMatchObject({
      tier: 'contraindicated',
      error: { code: 'NOT_ATTESTED', fault: 'rejected', because: [{ code: 'MODE_DEBUG' }] },
    })
    expect(document.checks).toContainEqual({
      name: 'MODE_DEBUG',
      status: 'failed',
      certificate: 0,
      reason: expect.stringContaining('layer 2'),
    })
  })

  it.each([
    ['another nonce', ['--nonce', 'ff'.repeat(16), '--proof', 'proof.bin', '--context', 'confirm d1'], 'PROOF_SIGNATURE'],
    ['another context', ['--nonce', nonce, '--proof', 'proof.bin', '--context', 'confirm d2'], 'PROOF_SIGNATURE'],
    ['no context', ['--nonce', nonce, '--proof', 'proof.bin'], 'PROOF_SIGNATURE'],
    ['a short nonce', ['--nonce', '00', '--proof', 'proof.bin', '--context', 'confirm d1'], 'PROOF_NONCE'],
    ['a time before', ['--no-proof', '--at', '2022-12-31T23:59:59Z'], 'CERT_NOT_BEFORE'],
    ['another profile', ['--no-proof', '--profile', 'open-dice'], 'PROFILE'],
  ])('does not affirm with %s', async (_, options, code) => {
    const { verify } = await scene()
    const { exitCode, document } = await verify(['chain.pem'], ...options, '--json')
    expect(exitCode).toBe(3)
    expect(
      document.checks.filter(({ status }: { status: string }) => status === 'failed').map(({ name }: { name: string }) => name),
    ).toContain(code)
  })

  it('takes a CDI certificate as leaf only where that is allowed', async () => {
    const openDice = [{ fwids: [{ hashAlg: 'sha512', digest: '33'.repeat(64) }] }]
    const { verify, at } = await scene(issueChain({ profile: 'open-dice', cdiLeaf: true, layers: openDice }))
    await writeFile(at('rv.json'), JSON.stringify([{ environment: { layer: 1 }, fwids: openDice[0]?.fwids }]))
    expect(await verify(['chain.pem'], '--no-proof')).toMatchObject({ exitCode: 3 })
    expect(await verify(['chain.pem'], '--no-proof', '--allow-cdi-leaf', '--profile', 'open-dice')).toMatchObject({ exitCode: 0 })
  })

  it('says what is no certificate by a check, and what is no file or option by an error', async () => {
    const { verify, at } = await scene()
    await writeFile(at('junk.der'), Uint8Array.of(0x30, 0x01, 0x00))
    await writeFile(at('text.pem'), 'nothing')
    expect((await verify(['junk.der'], '--no-proof', '--json')).document).toMatchObject({ tier: 'none', measurements: [] })
    const wrong = async (...options: readonly string[]) => (await verify(['chain.pem'], ...options)).stderr
    expect((await verify(['text.pem'], '--no-proof')).stderr).toContain('CERTIFICATES_INVALID')
    expect((await verify(['absent.pem'], '--no-proof')).stderr).toContain('FILE_NOT_FOUND')
    expect(await wrong()).toContain('--no-proof')
    expect(await wrong('--nonce', nonce)).toContain('--no-proof')
    expect(await wrong('--no-proof', '--nonce', nonce)).toContain('found both')
    expect(await wrong('--no-proof', '--context', 'confirm d1')).toContain('found both')
    expect(await wrong('--proof', 'proof.bin', '--no-proof')).toContain('found both')
    expect(await wrong('--nonce', 'xyz', '--proof', 'proof.bin')).toContain('--nonce')
    expect(await wrong('--no-proof', '--at', '2026-06-01T00:00:00')).toContain('--at')
    expect(await wrong('--no-proof', '--at', '2026-02-30T00:00:00Z')).toContain('--at')
    expect(await wrong('--no-proof', '--profile', 'x')).toContain('--profile')
    await writeFile(at('rv.json'), '[{ "enviroment": {} }]')
    expect(await wrong('--no-proof')).toContain('REFERENCE_VALUES_INVALID')
    await writeFile(at('rv.json'), '[{ "environment": { "layer": 1 }, "environment": {}, "fwids": [] }]')
    expect(await wrong('--no-proof')).toContain('found a member twice')
    const usage = await sayReflash(['attest', 'verify', at('chain.pem'), '--no-proof'])
    expect(usage).toMatchObject({ exitCode: 2 })
    expect(usage.stderr).toContain('--anchors')
  })

  it('explains itself, with examples', async () => {
    const { stdout, exitCode } = await sayReflash(['attest', 'verify', '--help'])
    expect(exitCode).toBe(0)
    await expect(stdout).toMatchFileSnapshot('../golden/help-attest-verify.txt')
  })
})
