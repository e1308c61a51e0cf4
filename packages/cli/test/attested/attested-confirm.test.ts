import { evidenceOf as signedEvidence } from '@reflash/attest-dice/testing'
import { describe, expect, test } from 'vitest'
import { type AttestedScene, attestedScene } from './attested-scene.ts'

const evidenceOf = ({ device }: AttestedScene, challenge: Uint8Array | undefined) =>
  device.dice.prove({ nonce: challenge as Uint8Array, purpose: 'confirm' })

/** A device that has installed the release, and was asked to prove it. */
async function asked(measure?: Parameters<typeof attestedScene>[0]) {
  const scene = await attestedScene(measure)
  const answer = await scene.device.offered()
  expect(answer.offer?.version).toBe('1.1.0')
  await scene.device.install(answer)
  const { wants, challenge } = await scene.device.checkIn()
  expect(wants).toEqual(['evidence'])
  return { ...scene, challenge: challenge as Uint8Array }
}

describe('an update that is confirmed by evidence, over HTTP', () => {
  test('is confirmed where the device proves that its flash holds the image of the release', async () => {
    const scene = await asked()
    const { because } = await scene.device.checkIn({ evidence: evidenceOf(scene, scene.challenge) })
    expect(because[0]?.code).toBe('UP_TO_DATE')
    expect(scene.confirmations()).toEqual([['passed']])
  })

  test('is not confirmed by a device that only says that it runs the version', async () => {
    const scene = await attestedScene()
    const { offer } = await scene.device.offered()
    await scene.device.client.report(offer?.seq as number, { state: 'installed' })
    const { challenge } = await scene.device.checkIn({ version: '1.1.0' })
    await scene.device.checkIn({ version: '1.1.0', evidence: evidenceOf(scene, challenge) })
    expect(scene.confirmations()).toEqual([['REFERENCE_VALUE', 'EVIDENCE_REFUSED', 'MEASUREMENT_MISMATCH']])
  })

  test('is not confirmed by a replay of what was good before', async () => {
    const scene = await asked()
    await scene.device.checkIn({ evidence: evidenceOf(scene, new Uint8Array(32)) })
    expect(scene.confirmations()).toEqual([['PROOF_NONCE', 'PROOF_SIGNATURE', 'EVIDENCE_REFUSED']])
  })

  test("is not confirmed by another device's evidence for this very challenge", async () => {
    const scene = await asked()
    await scene.neighbour.install(await scene.neighbour.offered())
    await scene.device.checkIn({ evidence: scene.neighbour.dice.prove({ nonce: scene.challenge, purpose: 'confirm' }) })
    expect(scene.confirmations()).toEqual([['PROOF_DEVICE', 'PROOF_SIGNATURE', 'IDENTITY', 'EVIDENCE_REFUSED']])
  })

  test("is not confirmed by another device's chain under a proof of its own name", async () => {
    const scene = await asked()
    await scene.neighbour.install(await scene.neighbour.offered())
    const { certificates } = scene.neighbour.dice.chain()
    const { leafKey } = scene.device.dice.chain()
    await scene.device.checkIn({
      evidence: signedEvidence({ certificates, leafKey }, { nonce: scene.challenge, purpose: 'confirm', deviceId: 'd1' }),
    })
    expect(scene.confirmations()).toEqual([['PROOF_SIGNATURE', 'IDENTITY', 'EVIDENCE_REFUSED']])
  })

  test('is not confirmed by evidence that was given before the update', async () => {
    const scene = await asked()
    await scene.device.checkIn({ evidence: scene.device.dice.prove({ nonce: scene.challenge, purpose: 'admit' }) })
    expect(scene.confirmations()).toEqual([['PROOF_PURPOSE', 'PROOF_SIGNATURE', 'EVIDENCE_REFUSED']])
  })

  test.each([
    ['debug', ['MODE_DEBUG', 'EVIDENCE_REFUSED']],
    ['recovery', ['MODE_RECOVERY', 'EVIDENCE_REFUSED', 'RECOVERY_ONLY']],
  ] as const)('is not confirmed by a device that booted the right image in %s mode', async (mode, codes) => {
    let opened = false
    const scene = await asked((layers) => (opened ? layers.map((layer) => ({ ...layer, modes: [mode] })) : layers))
    opened = true
    await scene.device.checkIn({ evidence: evidenceOf(scene, scene.challenge) })
    expect([...new Set(scene.confirmations()[0])]).toEqual(codes)
  })

  test('is not confirmed by a device whose flash was changed after it was installed', async () => {
    const scene = await asked()
    const { booted, flash } = scene.device.chip
    if (booted.is !== 'running') throw new Error('expected a device that runs')
    flash.write(booted.offset + 0x1000, Uint8Array.of(0))
    const before = evidenceOf(scene, scene.challenge)
    await scene.device.checkIn({ version: '1.1.0', evidence: before })
    expect(scene.confirmations()).toEqual([['REFERENCE_VALUE', 'EVIDENCE_REFUSED', 'MEASUREMENT_MISMATCH']])
  })

  test('is asked for anew where the evidence cannot be read, and nothing is decided', async () => {
    const scene = await asked()
    const evidence = { mediaType: 'application/vnd.reflash.dice+json', body: new TextEncoder().encode('{') }
    await expect(scene.device.checkIn({ evidence })).rejects.toMatchObject({ details: { remoteCode: 'EVIDENCE_INVALID' } })
    expect(scene.confirmations()).toEqual([])
    const { challenge } = await scene.device.checkIn()
    expect(challenge).not.toEqual(scene.challenge)
    await scene.device.checkIn({ evidence: evidenceOf(scene, challenge) })
    expect(scene.confirmations()).toEqual([['passed']])
  })
})
