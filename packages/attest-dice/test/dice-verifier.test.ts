import { type DiceVerifierOptions, diceVerifier } from '@reflash/attest-dice'
import { diceDevice, evidenceOf, goodLayers, goodReferenceValues, issueChain, type WrittenLayer } from '@reflash/attest-dice/testing'
import type { AppraiseContext, AttestationResult } from '@reflash/core'
import { memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { failed } from './support/appraise.ts'

const [first, second] = goodLayers as readonly [WrittenLayer, WrittenLayer]
const now = new Date('2026-06-01T00:00:00Z')
const nonce = new Uint8Array(32).fill(9)
const root = issueChain({ layers: goodLayers }).root
const verifierOf = (change: Partial<DiceVerifierOptions> = {}) =>
  diceVerifier({ anchors: [root], identities: 'first-use', referenceValues: goodReferenceValues, ...change })

function contextOf(change: Partial<AppraiseContext> = {}): AppraiseContext {
  return {
    nonce,
    purpose: 'confirm',
    deviceId: 'd1',
    now,
    references: [],
    state: memoryJournal(),
    signal: new AbortController().signal,
    ...change,
  }
}

const shown = (layers: readonly WrittenLayer[], { purpose, deviceId }: AppraiseContext, secret = 'device') =>
  evidenceOf(issueChain({ layers, secret }), { nonce, purpose, deviceId })

describe('diceVerifier', () => {
  test('says the same of a chain that it remembers as of one that it has never seen', async () => {
    const remembering = verifierOf()
    const context = contextOf()
    const results: AttestationResult[] = []
    for (let round = 0; round < 3; round++) results.push(await remembering.appraise(shown(goodLayers, context), contextOf()))
    const fresh = await verifierOf({ rememberedCertificates: 0 }).appraise(shown(goodLayers, context), contextOf())
    for (const result of results) expect({ ...result, checks: failed(result) }).toEqual({ ...fresh, checks: [] })
  })

  test('forgets the least used certificates, and still affirms', async () => {
    const verifier = verifierOf({ rememberedCertificates: 1, identities: 'first-use' })
    for (const secret of ['a', 'b', 'a']) {
      const context = contextOf()
      expect((await verifier.appraise(shown(goodLayers, context, secret), context)).tier).toBe('affirming')
    }
  })

  test('holds a device to the first identity that it has shown, and to the identity that is listed', async () => {
    const verifier = verifierOf()
    const context = contextOf()
    const one = await verifier.appraise(shown(goodLayers, context), context)
    expect(one.tier).toBe('affirming')
    expect(failed(await verifier.appraise(shown(goodLayers, context, 'another'), context))).toEqual(['IDENTITY'])
    expect((await verifier.appraise(shown(goodLayers, context), context)).tier).toBe('affirming')
    const listed = verifierOf({ identities: { d1: one.identity as string } })
    expect((await listed.appraise(shown(goodLayers, context), contextOf())).tier).toBe('affirming')
    expect(failed(await listed.appraise(shown(goodLayers, context, 'another'), contextOf()))).toEqual(['IDENTITY'])
  })

  test('names a device by what does not change with its firmware', async () => {
    for (const profile of ['tcg', 'open-dice'] as const) {
      const digest = (filler: string) => ({
        hashAlg: profile === 'tcg' ? 'sha256' : 'sha512',
        digest: filler.repeat(profile === 'tcg' ? 32 : 64),
      })
      let filler = 'aa'
      const device = diceDevice({ profile, deviceId: 'd1', measure: () => [{ layer: 1, fwids: [digest(filler)] }] })
      const verifier = verifierOf({
        anchors: [{ certificate: device.rootPem, is: 'device' }],
        allowUnknownLayers: true,
        referenceValues: [],
      })
      const before = await verifier.appraise(device.prove({ nonce, purpose: 'confirm' }), contextOf())
      filler = 'bb'
      const after = await verifier.appraise(device.prove({ nonce, purpose: 'confirm' }), contextOf())
      expect(before.tier).toBe('affirming')
      expect(after.identity).toBe(before.identity)
      expect(before.identity).toBe(device.identity)
      expect(after.measurements).not.toEqual(before.measurements)
    }
  })

  test('never takes the key of an authority for many devices as an identity', async () => {
    const verifier = verifierOf({ allowUnknownLayers: true, referenceValues: [] })
    const chain = issueChain({
      profile: 'open-dice',
      maker: 'maker',
      layers: [{ fwids: [{ hashAlg: 'sha512', digest: '33'.repeat(64) }] }],
    })
    const result = await diceVerifier({ anchors: [chain.root], identities: 'first-use', allowUnknownLayers: true }).appraise(
      evidenceOf(chain, { nonce, purpose: 'confirm', deviceId: 'd1' }),
      contextOf(),
    )
    expect(verifier.opens).toContain('first identity')
    expect(result.identity).toBe(`key:${chain.keys[1]?.keyId}`)
  })

  test('leaves what is released to the release: any version before an update, only its own after', async () => {
    const verifier = verifierOf({ layerNames: { 2: 'application' }, released: [{ layer: 'application' }] })
    const release = [
      { environment: { vendor: 'example', layer: 'application' }, digests: [{ hashAlg: 'sha256', digest: 'ee'.repeat(32) }], svn: 5 },
    ]
    const newer = [first, { ...second, fwids: [{ hashAlg: 'sha256', digest: 'ee'.repeat(32) }] }]
    const unknown = [first, { ...second, fwids: [{ hashAlg: 'sha256', digest: 'dd'.repeat(32) }] }]
    const before = contextOf({ purpose: 'admit' })
    expect((await verifier.appraise(shown(unknown, before), before)).tier).toBe('affirming')
    const after = contextOf({ references: release })
    const confirmed = await verifier.appraise(shown(newer, after), after)
    expect(confirmed.tier).toBe('affirming')
    expect(confirmed.measurements[1]).toMatchObject({ environment: { layer: 'application' }, svn: 5 })
    // The old image is in the file of reference values, and no proof of the new one.
    expect(failed(await verifier.appraise(shown(goodLayers, after), after))).toEqual(['REFERENCE_VALUE'])
    expect(failed(await verifier.appraise(shown(unknown, after), after))).toEqual(['REFERENCE_VALUE'])
  })

  test('remembers security versions of what it affirmed alone, also where two appraisals meet', async () => {
    const verifier = verifierOf({ allowUnknownLayers: true, referenceValues: [] })
    const state = memoryJournal()
    const context = contextOf({ state })
    const versions = (svn: number, more: Partial<WrittenLayer> = {}) => shown([first, { ...second, svn, ...more }], context)
    expect(failed(await verifier.appraise(versions(99, { modes: ['debug'] }), context))).toEqual(['MODE_DEBUG'])
    const results = await Promise.all([6, 7, 8].map((svn) => verifier.appraise(versions(svn), context)))
    expect(results.some(({ tier }) => tier === 'affirming')).toBe(true)
    expect((await verifier.appraise(versions(8), context)).tier).toBe('affirming')
    expect(failed(await verifier.appraise(versions(7), context))).toEqual(['SVN_REMEMBERED'])
    const other = contextOf({ state, deviceId: 'd2' })
    expect((await verifier.appraise(shown([first, { ...second, svn: 1 }], other), other)).tier).toBe('affirming')
  })

  test('binds a proof to the channel that it came through', async () => {
    const channelBinding = new Uint8Array(32).fill(3)
    const context = contextOf({ channelBinding })
    expect(failed(await verifierOf().appraise(shown(goodLayers, context), context))).toEqual(['PROOF_SIGNATURE'])
  })

  test.each<[string, Partial<DiceVerifierOptions>, string]>([
    ['no anchor', { anchors: [] }, 'DICE_OPTIONS_INVALID'],
    ['an anchor that is none', { anchors: [Uint8Array.of(0x30, 0)] }, 'DICE_OPTIONS_INVALID'],
    ['a text that is no PEM', { anchors: ['root'] }, 'CERTIFICATES_INVALID'],
    ['identities that are none', { identities: 'everybody' as never }, 'DICE_OPTIONS_INVALID'],
    ['a profile that is none', { profile: 'x509' as never }, 'DICE_OPTIONS_INVALID'],
    ['a life of nothing', { resultLifeMs: 0 }, 'DICE_OPTIONS_INVALID'],
    ['a negative skew', { notBeforeSkewMs: -1 }, 'DICE_OPTIONS_INVALID'],
    ['an environment with a typo', { released: [{ layr: 1 } as never] }, 'REFERENCE_VALUES_INVALID'],
    [
      'a short digest',
      { referenceValues: [{ environment: {}, fwids: [{ hashAlg: 'sha256', digest: '00' }] }] },
      'REFERENCE_VALUES_INVALID',
    ],
  ])('refuses options with %s at once', (_, change, code) => {
    expect(() => verifierOf(change)).toThrow(expect.objectContaining({ code, fault: 'invalid' }))
  })
})
