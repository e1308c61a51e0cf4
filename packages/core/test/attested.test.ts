import { createHash } from 'node:crypto'
import { createGateway, type Evidence, type EvidenceVerifier } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { image, principal, world } from './composition.ts'

const d1 = principal('d1')
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })

/** Evidence of a device that says which bytes it runs: honest about what it holds, so a test lies by holding something else. */
const evidenceOf = (nonce: Uint8Array, running: Uint8Array, deviceId = 'd1', purpose = 'any'): Evidence => ({
  mediaType: 'application/test-evidence',
  body: new TextEncoder().encode(
    JSON.stringify({
      nonce: Buffer.from(nonce).toString('hex'),
      digest: createHash('sha256').update(running).digest('hex'),
      deviceId,
      purpose,
    }),
  ),
})

const testVerifier: EvidenceVerifier = {
  kind: 'evidence-verifier',
  name: 'test-evidence',
  spec: 0,
  mediaTypes: ['application/test-evidence'],
  appraise: async ({ body }, { nonce, purpose, deviceId, now }) => {
    const said = JSON.parse(new TextDecoder().decode(body)) as { nonce: string; digest: string; deviceId: string }
    const fresh = said.nonce === Buffer.from(nonce).toString('hex')
    const good = fresh && said.deviceId === deviceId
    return {
      tier: good ? 'affirming' : 'contraindicated',
      checks: [{ name: fresh ? 'IDENTITY' : 'NONCE', status: good ? 'passed' : 'failed' }],
      measurements: [{ environment: { model: 'board', layer: 1 }, digests: [{ hashAlg: 'sha256', digest: said.digest }] }],
      purpose,
      deviceId,
      nonce,
      appraisedAt: now,
      expires: new Date(now.getTime() + 60_000),
    }
  },
}

async function installed() {
  const from = world({ attestation: [testVerifier], policy: { attestation: 'proven' } })
  from.release('1.1.0', { filler: 'new' })
  const gateway = createGateway(from.composition)
  const first = await gateway.checkIn(d1, at('1.0.0'))
  expect(first).toMatchObject({ wants: ['evidence'], because: [{ code: 'EVIDENCE_REQUIRED' }] })
  const challenge = first.challenge as Uint8Array
  const { offer } = await gateway.checkIn(d1, at('1.0.0'), evidenceOf(challenge, image('board', 'old')))
  expect(offer?.version).toBe('1.1.0')
  await gateway.report(d1, 1, { state: 'installed' })
  const asked = await gateway.checkIn(d1, at('1.1.0'))
  expect(asked).toMatchObject({ wants: ['evidence'], because: [{ code: 'EVIDENCE_REQUIRED' }] })
  return { ...from, gateway, admitNonce: challenge, nonce: asked.challenge as Uint8Array }
}

const confirmations = (events: Awaited<ReturnType<typeof installed>>['events']) =>
  events.filter((event) => event.type === 'device' && event.stage === 'confirm' && (event.status === 'passed' || event.status === 'failed'))

describe('an update that must be proven', () => {
  test('is confirmed by fresh evidence that measures the image of the release', async () => {
    const { gateway, nonce, events } = await installed()
    const { because } = await gateway.checkIn(d1, at('1.1.0'), evidenceOf(nonce, image('board', 'new')))
    expect(because[0]?.code).toBe('UP_TO_DATE')
    expect(confirmations(events)).toMatchObject([{ status: 'passed' }])
  })

  test('is not confirmed by any word of the device', async () => {
    const { gateway, events } = await installed()
    await gateway.report(d1, 1, { state: 'confirmed' })
    await gateway.checkIn(d1, at('1.1.0'))
    expect(confirmations(events)).toEqual([])
  })

  test.each([
    ['a device that lies about its version', (nonce: Uint8Array) => evidenceOf(nonce, image('board', 'old')), 'MEASUREMENT_MISMATCH'],
    ["another device's evidence", (nonce: Uint8Array) => evidenceOf(nonce, image('board', 'new'), 'd2'), 'EVIDENCE_REFUSED'],
    ['evidence for another nonce', () => evidenceOf(new Uint8Array(32), image('board', 'new')), 'EVIDENCE_REFUSED'],
  ])('fails by %s', async (_, lie, code) => {
    const { gateway, nonce, events } = await installed()
    await gateway.checkIn(d1, at('1.1.0'), lie(nonce))
    const [end] = confirmations(events)
    expect(end).toMatchObject({ status: 'failed' })
    expect(end?.type === 'device' && end.because.map((reason) => reason.code)).toContain(code)
  })

  test('does not take the evidence that admitted the device, nor the same evidence twice', async () => {
    const { gateway, admitNonce, nonce, events } = await installed()
    await gateway.checkIn(d1, at('1.1.0'), evidenceOf(admitNonce, image('board', 'new')))
    expect(confirmations(events).some((event) => event.type === 'device' && event.status === 'passed')).toBe(false)
    // The challenge was used up by the attempt.
    await gateway.checkIn(d1, at('1.1.0'), evidenceOf(nonce, image('board', 'new')))
    expect(confirmations(events).some((event) => event.type === 'device' && event.status === 'passed')).toBe(false)
  })
})
