import { createHash } from 'node:crypto'
import { createGateway, type Evidence, type EvidenceVerifier, unattestedDevices } from '@reflash/core'
import { memoryCache, memoryTarget } from '@reflash/core/testing'
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

async function installed(verifier: EvidenceVerifier = testVerifier) {
  const from = world({ attestation: [verifier], policy: { attestation: 'proven' } })
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

describe('evidence before an update', () => {
  const before = (verifier: EvidenceVerifier = testVerifier) => {
    const from = world({ attestation: [verifier], policy: { attestation: 'before' } })
    from.release('1.1.0', { filler: 'new' })
    return { ...from, gateway: createGateway(from.composition) }
  }
  const good = (nonce: Uint8Array | undefined) => evidenceOf(nonce as Uint8Array, image('board', 'old'))

  test('is asked for only where there is an update, and again where it comes too late', async () => {
    const { gateway, clock } = before()
    expect((await gateway.checkIn(d1, at('1.1.0'))).wants).toBeUndefined()
    const { challenge, wants } = await gateway.checkIn(d1, at('1.0.0'))
    expect(wants).toEqual(['evidence'])
    clock.advance(300_000)
    const late = await gateway.checkIn(d1, at('1.0.0'), good(challenge))
    expect(late).toMatchObject({ wants: ['evidence'], because: [{ code: 'EVIDENCE_REQUIRED' }] })
    expect(late.challenge).not.toEqual(challenge)
    expect((await gateway.checkIn(d1, at('1.0.0'), good(late.challenge))).offer?.version).toBe('1.1.0')
  })

  test('is asked for by one challenge however often a slow device comes back, which costs one write', async () => {
    const { gateway, composition, clock } = before()
    const first = await gateway.checkIn(d1, at('1.0.0'))
    const version = (await composition.journal.get('nonce/admit/d1'))?.version
    for (let poll = 0; poll < 10; poll++) {
      clock.advance(10_000)
      expect((await gateway.checkIn(d1, at('1.0.0'))).challenge).toEqual(first.challenge)
    }
    expect((await composition.journal.get('nonce/admit/d1'))?.version).toBe(version)
    expect((await gateway.checkIn(d1, at('1.0.0'), good(first.challenge))).offer?.seq).toBe(1)
  })

  test('counts for one of two requests that carry it at once, and both are told of the same offer or asked anew', async () => {
    const { composition, gateway } = before()
    const { challenge } = await gateway.checkIn(d1, at('1.0.0'))
    const second = createGateway(composition)
    const answers = await Promise.all([gateway, second].map((one) => one.checkIn(d1, at('1.0.0'), good(challenge))))
    const offers = answers.filter(({ offer }) => offer !== undefined)
    expect(offers.length).toBeGreaterThan(0)
    for (const { offer, wants } of answers) expect(offer?.seq === 1 || wants?.[0] === 'evidence').toBe(true)
  })

  test('that is refused opens nothing, and the challenge is used up', async () => {
    const { gateway, composition } = before()
    const { challenge } = await gateway.checkIn(d1, at('1.0.0'))
    const lie = evidenceOf(challenge as Uint8Array, image('board', 'old'), 'd2')
    await expect(gateway.checkIn(d1, at('1.0.0'), lie)).rejects.toMatchObject({ code: 'EVIDENCE_REFUSED', fault: 'rejected' })
    expect(await composition.journal.get('device/d1')).toBeUndefined()
    expect((await gateway.checkIn(d1, at('1.0.0'), good(challenge))).wants).toEqual(['evidence'])
    await expect(gateway.checkIn(d1, at('1.0.0'), { mediaType: 'a/b', body: new Uint8Array() })).rejects.toMatchObject({
      code: 'EVIDENCE_UNSUPPORTED',
    })
  })

  test('is judged again after a restart as it was then, whatever its verifier has learned since', async () => {
    // A verifier that remembers the highest security version it has seen, as a DICE verifier does.
    let svn = 1
    const remembering: EvidenceVerifier = {
      ...testVerifier,
      appraise: async (evidence, context) => {
        const seen = Number((await context.state.get(context.deviceId))?.value ?? 0)
        const result = await testVerifier.appraise(evidence, context)
        if (svn < seen) return { ...result, tier: 'contraindicated', checks: [{ name: 'SVN', status: 'failed' }] }
        await context.state.put(context.deviceId, svn, { ifVersion: (await context.state.get(context.deviceId))?.version ?? null })
        return result
      },
    }
    const from = before(remembering)
    const { challenge } = await from.gateway.checkIn(d1, at('1.0.0'))
    await from.gateway.checkIn(d1, at('1.0.0'), good(challenge))
    await from.composition.journal.put('state/evidence-verifier/test-evidence/d1', 7, {
      ifVersion: (await from.composition.journal.get('state/evidence-verifier/test-evidence/d1'))?.version ?? null,
    })
    svn = 1
    const second = createGateway(from.composition)
    await second.report(d1, 1, { state: 'confirmed' })
    expect(confirmations(from.events)).toMatchObject([{ status: 'passed' }])
  })

  test('that was not asked for then is missing now: an update opened under another policy ends, and is no attempt', async () => {
    const from = world({ attestation: [testVerifier] })
    from.release('1.1.0', { filler: 'new' })
    await createGateway(from.composition).checkIn(d1, at('1.0.0'))
    const stricter = createGateway({ ...from.composition, policy: { attestation: 'before' } })
    const { challenge, because } = await stricter.checkIn(d1, at('1.0.0'))
    expect(because[0]?.code).toBe('EVIDENCE_REQUIRED')
    expect((await stricter.checkIn(d1, at('1.0.0'), good(challenge))).offer?.seq).toBe(2)
    const record = JSON.stringify((await from.composition.journal.get('device/d1'))?.value)
    expect(record).toContain('"tried":false')
  })

  test('from a device that cannot give any is never replaced by silence', async () => {
    const { gateway } = before()
    expect((await gateway.checkIn(d1, {}, undefined, { reports: false })).offer).toBeUndefined()
    await expect(gateway.read(d1, 'current')).rejects.toMatchObject({ code: 'NO_OFFER', because: [{ code: 'EVIDENCE_REQUIRED' }] })
  })

  test('of a device in recovery admits it to nothing yet', async () => {
    const recovering: EvidenceVerifier = {
      ...testVerifier,
      appraise: async (...args) => ({ ...(await testVerifier.appraise(...args)), recovery: true }),
    }
    const { gateway } = before(recovering)
    const { challenge } = await gateway.checkIn(d1, at('1.0.0'))
    expect(await gateway.checkIn(d1, at('1.0.0'), good(challenge))).toMatchObject({ because: [{ code: 'RECOVERY_ONLY' }] })
  })
})

describe('two proofs at once', () => {
  test('confirm an update once, and neither request fails for it', async () => {
    const { composition, nonce, events } = await installed()
    const gateways = [createGateway(composition), createGateway({ ...composition, cache: memoryCache() })]
    const proof = evidenceOf(nonce, image('board', 'new'))
    const answers = await Promise.all(gateways.map((gateway) => gateway.checkIn(d1, at('1.1.0'), proof)))
    expect(confirmations(events)).toMatchObject([{ status: 'passed' }])
    for (const answer of answers) expect(['UP_TO_DATE', 'EVIDENCE_REQUIRED']).toContain(answer.because[0]?.code)
  })
})

describe('copies of one evidence', () => {
  /** A verifier whose first appraisal waits until the test lets it go. */
  function slowVerifier() {
    let letGo = (): void => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    let isFirst = true
    let isHeld = false
    const verifier: EvidenceVerifier = {
      ...testVerifier,
      appraise: async (evidence, context) => {
        const waits = isHeld && isFirst && context.purpose === 'confirm'
        if (waits) isFirst = false
        if (waits) await held
        return testVerifier.appraise(evidence, context)
      },
    }
    return {
      verifier,
      hold: () => {
        isHeld = true
      },
      letGo,
    }
  }

  test('that come while the first is appraised answer no challenge that was asked later, and fail nothing', async () => {
    const { verifier, hold, letGo } = slowVerifier()
    const { gateway, nonce, events } = await installed(verifier)
    hold()
    const proof = evidenceOf(nonce, image('board', 'new'))
    const first = gateway.checkIn(d1, at('1.1.0'), proof)
    for (let copy = 0; copy < 3; copy++) {
      expect(await gateway.checkIn(d1, at('1.1.0'), proof)).toMatchObject({ wants: ['evidence'], because: [{ code: 'EVIDENCE_REQUIRED' }] })
    }
    letGo()
    expect((await first).because[0]?.code).toBe('UP_TO_DATE')
    expect(confirmations(events)).toMatchObject([{ status: 'passed' }])
  })

  test('that come after the server lost its challenge are asked anew each time, and fail nothing', async () => {
    const { gateway, nonce, events, composition } = await installed()
    const entry = await composition.journal.get('nonce/confirm/d1')
    await composition.journal.delete('nonce/confirm/d1', { ifVersion: entry?.version as string })
    const proof = evidenceOf(nonce, image('board', 'new'))
    const answers = []
    for (let copy = 0; copy < 3; copy++) answers.push(await gateway.checkIn(d1, at('1.1.0'), proof))
    expect(confirmations(events)).toEqual([])
    const fresh = evidenceOf(answers.at(-1)?.challenge as Uint8Array, image('board', 'new'))
    expect((await gateway.checkIn(d1, at('1.1.0'), fresh)).because[0]?.code).toBe('UP_TO_DATE')
    expect(confirmations(events)).toMatchObject([{ status: 'passed' }])
  })
})

test('what demands proof is composed only of what can give it', () => {
  const { composition } = world()
  const demanding = { ...composition, policy: { attestation: 'proven' as const } }
  expect(() => createGateway({ ...demanding, attestation: [unattestedDevices()] })).toThrow(/needs an evidence verifier/)
  const { measure: _, ...silent } = memoryTarget()
  expect(() => createGateway({ ...demanding, attestation: [testVerifier], targets: [silent] })).toThrow(/memory-board cannot/)
})
