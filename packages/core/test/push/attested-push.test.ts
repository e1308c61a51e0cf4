import { createHash } from 'node:crypto'
import { createEngine, type Evidence, type EvidenceVerifier } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { image } from '../composition.ts'
import { scene, version } from './push.ts'

const d1 = { id: 'd1', model: 'board' }
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const evidenceOf = (nonce: Uint8Array, running: Uint8Array): Evidence => ({
  mediaType: 'application/test-evidence',
  body: new TextEncoder().encode(`${Buffer.from(nonce).toString('hex')} ${hash(running)}`),
})

const verifier: EvidenceVerifier = {
  kind: 'evidence-verifier',
  name: 'test-evidence',
  spec: 0,
  mediaTypes: ['application/test-evidence'],
  appraise: async ({ body }, { nonce, purpose, deviceId, now }) => {
    const [shown, digest = ''] = new TextDecoder().decode(body).split(' ')
    const good = shown === Buffer.from(nonce).toString('hex')
    return {
      tier: good ? 'affirming' : 'contraindicated',
      checks: [{ name: 'NONCE', status: good ? 'passed' : 'failed' }],
      measurements: [{ environment: { model: 'board', layer: 1 }, digests: [{ hashAlg: 'sha256', digest }] }],
      purpose,
      deviceId,
      nonce,
      appraisedAt: now,
      expires: new Date(now.getTime() + 60_000),
    }
  },
}
const demanding = (attestation: 'before' | 'proven') => ({ attestation: [verifier], policy: { attestation } })

describe('a push to a device that must prove itself', () => {
  test('asks for evidence before it plans, and for fresh evidence of the new image before it confirms', async () => {
    const asked: string[] = []
    const evidence = (nonce: Uint8Array, running: Uint8Array): Evidence => {
      asked.push(`${Buffer.from(nonce).toString('hex')} ${new TextDecoder().decode(running).split('\n')[1]}`)
      return evidenceOf(nonce, running)
    }
    const { release, engine, unit } = scene({ evidence }, demanding('proven'))
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'confirmed' })
    expect(asked.map((line) => line.split(' ')[1])).toEqual(['1.0.0', '1.1.0'])
    expect(new Set(asked.map((line) => line.split(' ')[0])).size).toBe(2)
    expect(version(unit)).toBe('1.1.0')
  })

  test('asks once where only the device before the update must be known', async () => {
    let asked = 0
    const evidence = (nonce: Uint8Array, running: Uint8Array): Evidence => {
      asked += 1
      return evidenceOf(nonce, running)
    }
    const { release, engine } = scene({ evidence }, demanding('before'))
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'confirmed' })
    expect(asked).toBe(1)
  })

  test('does not begin where the connection carries no evidence', async () => {
    const { release, engine, unit, options } = scene({}, demanding('before'))
    release('1.1.0')
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'EVIDENCE_REQUIRED', fault: 'rejected' })
    expect(unit.calls).toEqual(['status', 'dispose'])
    expect(await options.journal.get('device/d1')).toBeUndefined()
  })

  test('fails, and goes back, where the device runs something else than it says', async () => {
    const lying = (nonce: Uint8Array): Evidence => evidenceOf(nonce, image('board', '1.0.0'))
    const { release, engine, unit, outcomes } = scene({ evidence: lying }, demanding('proven'))
    release('1.1.0')
    const { outcome, because } = await engine.update(d1)
    expect([outcome, ...because.map(({ code }) => code)]).toEqual(['failed', 'MEASUREMENT_MISMATCH', 'ROLLED_BACK'])
    expect(outcomes()).toContain('1 rollback passed')
    expect(unit.calls).toContain('rollback')
  })

  test.each<[string, (nonce: Uint8Array, running: Uint8Array) => Evidence]>([
    ['for another nonce', (_, running) => evidenceOf(new Uint8Array(32), running)],
    ['too large', (nonce, running) => ({ ...evidenceOf(nonce, running), body: new Uint8Array(70_000) })],
  ])('takes no evidence %s', async (_, evidence) => {
    const { release, engine, unit } = scene({ evidence }, demanding('before'))
    release('1.1.0')
    await expect(engine.update(d1)).rejects.toMatchObject({ code: expect.stringMatching(/EVIDENCE_REFUSED|INVALID_STATE/) as string })
    expect(unit.calls).toEqual(['status', 'dispose'])
  })

  test('takes no evidence that came too late', async () => {
    const from = scene(
      {
        evidence: (nonce, running) => {
          from.clock.advance(300_000)
          return evidenceOf(nonce, running)
        },
      },
      demanding('before'),
    )
    from.release('1.1.0')
    await expect(from.engine.update(d1)).rejects.toMatchObject({ code: 'EVIDENCE_REFUSED', because: [{ code: 'EVIDENCE_REPLAYED' }] })
  })

  test('goes on after a cut at any word, and still demands its proof', async () => {
    for (let cutAt = 1; cutAt < 12; cutAt++) {
      const from = scene({ evidence: evidenceOf }, demanding('proven'))
      from.release('1.1.0')
      from.unit.breakLine(cutAt)
      const first = await from.engine.update(d1).catch(() => undefined)
      const end = first ?? (await createEngine(from.options).update(d1))
      expect(end, `cut at ${cutAt}`).toMatchObject({ seq: 1, outcome: 'confirmed' })
      expect(from.outcomes().filter((line) => line === '1 confirm passed')).toHaveLength(1)
    }
  })
})
