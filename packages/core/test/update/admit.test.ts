import { type AttestationResult, admit, type DeviceState, defaultPolicy, type EvidenceVerifier, unattestedDevices } from '@reflash/core'
import { memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal } from '../composition.ts'

const now = new Date('2030-01-01T00:00:00.000Z')
const context = { signal: new AbortController().signal, now }
const nonce = new Uint8Array([1, 2, 3, 4])
const presented = { evidence: { mediaType: 'application/test', body: new Uint8Array() }, nonce }
const device = { id: 'd1', model: 'board' }

function answering(change: (good: AttestationResult) => unknown): EvidenceVerifier {
  return {
    ...unattestedDevices(),
    name: 'test',
    mediaTypes: ['application/test'],
    appraise: async (_, { nonce: asked, purpose, deviceId }) =>
      change({
        tier: 'affirming',
        checks: [{ name: 'IDENTITY', status: 'passed' }],
        measurements: [],
        purpose,
        deviceId,
        nonce: asked,
        appraisedAt: now,
        expires: new Date(now.getTime() + 1),
      }) as AttestationResult,
  }
}

const deps = (verifier: EvidenceVerifier) => ({
  attestation: [verifier],
  journal: memoryJournal(),
  policy: { ...defaultPolicy, attestation: 'before' as const },
})
const admitWith = (change: (good: AttestationResult) => unknown) =>
  admit(device, principal('d1'), presented, deps(answering(change)), context)

describe('admit', () => {
  test('takes a device whose evidence is affirmed, and copies all that it believes', async () => {
    const mine: { id: string; model: string; installed?: { version: string } } = { id: 'd1', model: 'board' }
    const result: { tier: string }[] = []
    const verifier = answering((good) => {
      const own = { ...good }
      result.push(own)
      return own
    })
    const who = { ...principal('d1') }
    const admitted = await admit(mine, who, presented, deps(verifier), context)
    mine.id = 'd2'
    mine.installed = { version: '9.9.9' }
    Object.assign(who, { deviceId: 'd2' })
    for (const own of result) own.tier = 'none'
    expect(admitted).toMatchObject({ device: { id: 'd1' }, principal: { deviceId: 'd1' }, attestation: { tier: 'affirming' } })
    expect(admitted.device.installed).toBeUndefined()
    expect(() => Object.assign(admitted.device, { id: 'd2' })).toThrow(TypeError)
  })

  test("refuses another device's principal, also one that changes its mind between two looks", async () => {
    const nobody = deps(unattestedDevices())
    await expect(admit(device, principal('d2'), undefined, nobody, context)).rejects.toMatchObject({ code: 'WRONG_DEVICE', stage: 'admit' })
    let looks = 0
    const shifty = {
      get id() {
        looks += 1
        return looks === 1 ? 'd1' : 'd2'
      },
    } as DeviceState
    const open = { ...nobody, policy: defaultPolicy }
    expect((await admit(shifty, principal('d1'), undefined, open, context)).device.id).toBe('d1')
  })

  test.each<[string, (good: AttestationResult) => unknown, string]>([
    ['for another nonce', (good) => ({ ...good, nonce: new Uint8Array([1, 2, 3, 5]) }), 'EVIDENCE_REFUSED'],
    ['for a part of the nonce', (good) => ({ ...good, nonce: nonce.subarray(0, 3) }), 'EVIDENCE_REFUSED'],
    ['for another device', (good) => ({ ...good, deviceId: 'd2' }), 'EVIDENCE_REFUSED'],
    ['for another purpose', (good) => ({ ...good, purpose: 'confirm' }), 'EVIDENCE_REFUSED'],
    ['of a doubtful device', (good) => ({ ...good, tier: 'warning' }), 'EVIDENCE_REFUSED'],
    ['of a tier that nobody knows', (good) => ({ ...good, tier: 'fine' }), 'EVIDENCE_REFUSED'],
    ['that expires now', (good) => ({ ...good, expires: now }), 'EVIDENCE_REFUSED'],
    ['that expires at no time at all', (good) => ({ ...good, expires: new Date(Number.NaN) }), 'EVIDENCE_REFUSED'],
    ['without a nonce', ({ nonce: _, ...rest }) => rest, 'BROKEN_PLUGIN'],
    ['that is nothing', () => undefined, 'BROKEN_PLUGIN'],
  ])('refuses an appraisal %s', async (_, change, code) => {
    await expect(admitWith(change)).rejects.toMatchObject({ code, stage: 'admit' })
  })

  test('tells why a device was not affirmed, and what is missing', async () => {
    const failed = (good: AttestationResult) => ({
      ...good,
      tier: 'contraindicated',
      checks: [{ name: 'SVN', status: 'failed', reason: 'old' }],
    })
    await expect(admitWith(failed)).rejects.toMatchObject({ because: [{ code: 'SVN', message: 'old' }] })
    const known = deps(answering((good) => good))
    await expect(admit(device, principal('d1'), undefined, known, context)).rejects.toMatchObject({ code: 'EVIDENCE_REQUIRED' })
    const strange = { ...presented, evidence: { mediaType: 'application/other', body: new Uint8Array() } }
    await expect(admit(device, principal('d1'), strange, known, context)).rejects.toMatchObject({
      code: 'EVIDENCE_UNSUPPORTED',
      fault: 'unsupported',
    })
  })
})
