import {
  type AttestationResult,
  confirm,
  deliver,
  type Installed,
  install,
  type Measurement,
  type Observation,
  type Report,
} from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { imageIn, installed, policy, proofOf, walked } from './rooms.ts'

const now = new Date('2030-01-01T00:00:00.000Z')
const reports = (state: Report['state']): Observation => ({ by: 'report', report: { state } })
const shows = (shown: Installed): Observation => ({ by: 'check-in', installed: shown })

describe('deliver', () => {
  test.each<[Report['state'], string]>([
    ['downloading', 'waiting'],
    ['downloaded', 'passed'],
    ['installing', 'passed'],
    ['installed', 'passed'],
    ['confirmed', 'passed'],
    ['failed', 'failed'],
    ['rejected', 'failed'],
    ['canceled', 'failed'],
    ['cancel-refused', 'waiting'],
    ['rolled-back', 'failed'],
  ])('judges the report "%s" as %s', async (state, is) => {
    expect(deliver((await walked()).planned, reports(state)).is).toBe(is)
  })

  test('judges what it sees and not what it hears of: a check-in, evidence, silence', async () => {
    const { planned } = await walked()
    expect(deliver(planned, shows({ version: '1.1.0' })).is).toBe('passed')
    expect(deliver(planned, shows({ version: '1.0.0' })).is).toBe('waiting')
    expect(deliver(planned, { by: 'evidence', result: {} as AttestationResult }).is).toBe('waiting')
    expect(deliver(planned, { by: 'none', since: now })).toMatchObject({ is: 'unobserved', because: [{ code: 'NOT_REPORTED' }] })
  })
})

describe('install', () => {
  test.each<[Report['state'], string]>([
    ['downloading', 'waiting'],
    ['downloaded', 'waiting'],
    ['installing', 'waiting'],
    ['cancel-refused', 'waiting'],
    ['installed', 'passed'],
    ['confirmed', 'passed'],
    ['failed', 'failed'],
    ['rolled-back', 'failed'],
  ])('judges the report "%s" as %s', async (state, is) => {
    const delivered = proofOf(deliver((await walked()).planned, reports('downloaded')))
    expect(install(delivered, reports(state)).is).toBe(is)
  })

  test('judges what it sees: a check-in by version or digest, a read-back, evidence, silence', async () => {
    const { planned, release } = await walked()
    const delivered = proofOf(deliver(planned, reports('downloaded')))
    const { digest, size } = imageIn(release).descriptor
    const other = `sha256:${'0'.repeat(64)}` as const
    expect(install(delivered, shows({ version: 'anything', digest })).is).toBe('passed')
    expect(install(delivered, shows({ version: '1.1.0', digest: other })).is).toBe('waiting')
    expect(install(delivered, { by: 'read-back', digest, size }).is).toBe('passed')
    expect(install(delivered, { by: 'read-back', digest: other, size }).is).toBe('failed')
    expect(install(delivered, { by: 'evidence', result: {} as AttestationResult }).is).toBe('waiting')
    expect(install(delivered, { by: 'none', since: now }).is).toBe('unobserved')
  })
})

describe('every room', () => {
  test('refuses to judge an observation of no known kind', async () => {
    const { planned } = await walked()
    const strange = { by: 'rumour' } as never
    const broken = expect.objectContaining({ code: 'BROKEN_PLUGIN', fault: 'internal' })
    const delivered = proofOf(deliver(planned, reports('downloaded')))
    expect(() => deliver(planned, strange)).toThrow(broken)
    expect(() => install(delivered, strange)).toThrow(broken)
    expect(() => confirm(installed(planned), strange, policy, now)).toThrow(broken)
  })

  test('keeps what it judged, whatever becomes of the observation', async () => {
    const { planned } = await walked()
    const observed = { by: 'report' as const, report: { state: 'confirmed' as Report['state'] } }
    const delivered = proofOf(deliver(planned, observed))
    const done = proofOf(confirm(proofOf(install(delivered, observed)), observed, policy, now))
    observed.report.state = 'failed'
    expect([delivered.observed, done.observed]).toEqual([reports('confirmed'), reports('confirmed')])
  })
})

describe('confirm by evidence', () => {
  const nonce = new Uint8Array([7, 7, 7, 7])
  const declared: readonly Measurement[] = [
    {
      environment: { model: 'board', layer: 1 },
      digests: [
        { hashAlg: 'sha256', digest: 'aa' },
        { hashAlg: 'sha384', digest: 'bb' },
      ],
      svn: 3,
    },
  ]
  const good: AttestationResult = {
    tier: 'affirming',
    checks: [],
    measurements: [{ ...declared[0], environment: { model: 'board', layer: 1, serial: 'x' } } as Measurement],
    purpose: 'confirm',
    deviceId: 'd1',
    nonce,
    appraisedAt: now,
    expires: new Date(now.getTime() + 1),
  }
  const judge = async (
    result: AttestationResult,
    measured: readonly Measurement[] = declared,
    expected: Uint8Array | undefined = nonce,
  ) => {
    const { planned } = await walked({ target: { ...memoryTarget(), measure: async () => measured } })
    const proven = { attestation: 'proven' as const, ...(expected === undefined ? {} : { nonce: expected }) }
    const verdict = confirm(installed(planned), { by: 'evidence', result }, proven, now)
    return verdict.is === 'passed' ? 'passed' : verdict.because.map(({ code }) => code).join()
  }
  const measuring = (change: Partial<Measurement>): AttestationResult => ({
    ...good,
    measurements: [{ ...good.measurements[0], ...change } as Measurement],
  })

  test('passes where everything that the release declares is measured, freshly, on this device', async () => {
    expect(await judge(good)).toBe('passed')
  })

  test.each<[string, AttestationResult, string]>([
    ['another device', { ...good, deviceId: 'd2' }, 'EVIDENCE_OTHER_DEVICE'],
    ['another purpose', { ...good, purpose: 'admit' }, 'EVIDENCE_OTHER_PURPOSE'],
    ['another nonce', { ...good, nonce: new Uint8Array([7, 7, 7, 8]) }, 'EVIDENCE_REPLAYED'],
    ['another time', { ...good, expires: now }, 'EVIDENCE_EXPIRED'],
    ['a time that cannot be read', { ...good, expires: new Date(Number.NaN) }, 'EVIDENCE_EXPIRED'],
    ['a doubtful device', { ...good, tier: 'warning' }, 'EVIDENCE_REFUSED'],
    [
      'a device that its verifier refuses, by the name of each check that it failed',
      {
        ...good,
        tier: 'contraindicated',
        checks: [
          { name: 'FRESH', status: 'passed' },
          { name: 'CLOSED', status: 'failed', reason: 'the debug port is open' },
          { name: 'KNOWN', status: 'skipped' },
        ],
      },
      'CLOSED,EVIDENCE_REFUSED',
    ],
    ['a device in recovery', { ...good, recovery: true }, 'RECOVERY_ONLY'],
    ['another image', measuring({ digests: [{ hashAlg: 'sha256', digest: 'ab' }] }), 'MEASUREMENT_MISMATCH'],
    ['one of two digests', measuring({ digests: [{ hashAlg: 'sha256', digest: 'aa' }] }), 'MEASUREMENT_MISMATCH'],
    ['another security version', measuring({ svn: 2 }), 'MEASUREMENT_MISMATCH'],
    ['another layer', measuring({ environment: { model: 'board', layer: 2 } }), 'MEASUREMENT_MISMATCH'],
    ['nothing', { ...good, measurements: [] }, 'MEASUREMENT_MISMATCH'],
  ])('fails for %s', async (_, result, code) => {
    expect(await judge(result)).toBe(code)
  })

  test('fails where the release declares nothing, or nothing that could differ, or no nonce was issued', async () => {
    expect(await judge(good, [])).toBe('MEASUREMENT_MISMATCH')
    expect(await judge({ ...good, measurements: [{ environment: {}, digests: [] }] }, [{ environment: {}, digests: [] }])).toBe(
      'MEASUREMENT_MISMATCH',
    )
    const { planned } = await walked()
    const verdict = confirm(installed(planned), { by: 'evidence', result: good }, { attestation: 'proven' }, now)
    expect(verdict).toMatchObject({ is: 'failed', because: [{ code: 'EVIDENCE_REPLAYED' }, { code: 'MEASUREMENT_MISMATCH' }] })
  })
})
