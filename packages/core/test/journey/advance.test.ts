import { deliver, install, type Observation } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { advance, type Step } from '../../src/journey/advance.ts'
import { imageIn, policy, proofOf, walked } from '../update/rooms.ts'

const now = new Date('2030-01-01T00:00:00.000Z')
const shown = (steps: readonly Step[]): string => steps.map(({ stage, is }) => `${stage} ${is}`).join(', ')
const reports = (state: 'downloading' | 'downloaded' | 'installed' | 'confirmed' | 'failed'): Observation => ({
  by: 'report',
  report: { state },
})

async function stages() {
  const { planned, release } = await walked()
  const { digest, size } = imageIn(release).descriptor
  const delivered = proofOf(deliver(planned, reports('downloaded')))
  const installed = proofOf(install(delivered, reports('installed')))
  const readBack: Observation = { by: 'read-back', digest, size }
  return {
    readBack,
    plan: (observed: Observation) => shown(advance({ stage: 'plan', proof: planned }, observed, policy, now)),
    deliver: (observed: Observation) => shown(advance({ stage: 'deliver', proof: delivered }, observed, policy, now)),
    install: (observed: Observation) => shown(advance({ stage: 'install', proof: installed }, observed, policy, now)),
  }
}

describe('an observation', () => {
  test('goes through as many rooms as it passes', async () => {
    const from = await stages()
    expect(from.plan(reports('downloading'))).toBe('deliver waiting')
    expect(from.plan(reports('downloaded'))).toBe('deliver passed, install waiting')
    expect(from.plan(reports('installed'))).toBe('deliver passed, install passed, confirm waiting')
    expect(from.plan(reports('confirmed'))).toBe('deliver passed, install passed, confirm passed')
    expect(from.plan({ by: 'check-in', installed: { version: '1.1.0' } })).toBe('deliver passed, install passed, confirm passed')
    expect(from.deliver(reports('failed'))).toBe('install failed')
    expect(from.install(reports('confirmed'))).toBe('confirm passed')
  })

  test('of bytes in a slot passes one room: what lies there is not yet what will be booted', async () => {
    const from = await stages()
    expect(from.plan(from.readBack)).toBe('deliver passed')
    expect(from.deliver(from.readBack)).toBe('install passed')
    expect(from.install(from.readBack)).toBe('confirm waiting')
  })
})
