import { createHash } from 'node:crypto'
import { createGateway, createRollout } from '@reflash/core'
import { memoryFleet } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { image, principal, world } from '../composition.ts'
import { evidenceKey, signedEvidence } from '../support/signed-evidence.ts'

const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })

/** A fleet of three devices of which one has installed what a deployment that demands proof has brought. The policy demands none. */
async function installed() {
  const { trustAnchor, issue } = evidenceKey()
  const fleet = memoryFleet()
  const from = world({ fleet, attestation: [signedEvidence({ trustAnchor })] })
  from.release('1.1.0', { filler: 'new' })
  const gateway = createGateway(from.composition)
  const rollout = createRollout(gateway.composition)
  const ids = ['d0', 'd1', 'd2']
  for (const id of ids) await gateway.checkIn(principal(id), at('1.0.0'))
  await rollout.create({ id: 'roll', version: '1.1.0', waves: [30, 100], successPercent: 100, proof: true }, { by: 'ann' })
  const tick = async () => {
    const { steps } = await rollout.ticker({ holder: 'one' }).tick()
    from.clock.advance(1_500)
    return steps.map((step) => step.do)
  }
  await tick()
  const offered: string[] = []
  for (const id of ids) if ((await gateway.checkIn(principal(id), at('1.0.0'))).offer !== undefined) offered.push(id)
  expect(offered).toHaveLength(1)
  const who = principal(offered[0] as string)
  await gateway.report(who, 1, { state: 'installed' })
  const counters = async () => {
    const { counters } = await rollout.show('roll')
    expect(await fleet.recount('roll')).toEqual(counters)
    return counters
  }
  const evidence = (nonce: Uint8Array, filler: string) => {
    const digest = createHash('sha256').update(image('board', filler)).digest('hex')
    const measurements = [{ environment: { model: 'board', layer: 1 }, digests: [{ hashAlg: 'sha256', digest }] }]
    return issue({ nonce, deviceId: who.deviceId, purpose: 'confirm', measurements })
  }
  return { gateway, who, tick, counters, evidence, fleet }
}

describe('a deployment that demands proof', () => {
  test('takes no word of a device for a confirmation, and does not go on by it', async () => {
    const { gateway, who, tick, counters } = await installed()
    await gateway.report(who, 1, { state: 'confirmed' })
    expect((await gateway.checkIn(who, at('1.1.0'))).wants).toEqual(['evidence'])
    expect(await counters()).toMatchObject({ offered: 1, confirmed: 0 })
    expect(await tick()).toEqual([])
  })

  test('counts fresh evidence of the image, says that it was attested, and goes on', async () => {
    const { gateway, who, tick, counters, evidence, fleet } = await installed()
    const { challenge } = await gateway.checkIn(who, at('1.1.0'))
    expect((await gateway.checkIn(who, at('1.1.0'), evidence(challenge as Uint8Array, 'new'))).because[0]?.code).toBe('UP_TO_DATE')
    expect(await counters()).toMatchObject({ offered: 0, confirmed: 1 })
    expect(await fleet.update('roll', who.deviceId)).toMatchObject({ state: 'confirmed', attested: true })
    expect(await tick()).toEqual(['start'])
  })

  test('counts a device that lies about what it runs as failed', async () => {
    const { gateway, who, tick, counters, evidence } = await installed()
    const { challenge } = await gateway.checkIn(who, at('1.1.0'))
    await gateway.checkIn(who, at('1.1.0'), evidence(challenge as Uint8Array, 'old'))
    expect(await counters()).toMatchObject({ offered: 0, confirmed: 0, failed: 1 })
    expect(await tick()).toEqual(['pause'])
  })

  test('cannot be made where nobody can prove anything', async () => {
    const { composition, release } = world({ fleet: memoryFleet() })
    release('1.1.0')
    const rollout = createRollout(createGateway(composition).composition)
    await expect(rollout.create({ id: 'roll', version: '1.1.0', proof: true }, { by: 'ann' })).rejects.toMatchObject({
      code: 'PROOF_UNSUPPORTED',
    })
  })
})
