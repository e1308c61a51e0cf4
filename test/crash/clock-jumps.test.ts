import { anonymousDevices, createGateway, type Journal, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { type ManualClock, manualClock, memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import { httpHandler } from '@reflash/transport-http'
import { describe, expect, it } from 'vitest'
import { honestVerifier } from './support/honest-evidence.ts'
import { boardImage, pullingBoard } from './support/memory-board.ts'
import type { StoredDevice } from './support/record.ts'
import { wrongEnd } from './support/witness.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const jumpsMs = [-400 * dayMs, -25 * hourMs, -hourMs, -360_000, 360_000, hourMs, 25 * hourMs, 400 * dayMs]
const repository = 'registry.test/firmware/board'

/** Sets the clock right before, or right after, the nth write from now on. */
function jumping(
  journal: Journal,
  clock: ManualClock,
  jump: { readonly at: number; readonly byMs: number; readonly when: 'before' | 'after' },
) {
  let writes = 0
  const around = async <T>(write: () => Promise<T>): Promise<T> => {
    writes += 1
    const isNow = writes === jump.at
    if (isNow && jump.when === 'before') clock.advance(jump.byMs)
    const value = await write()
    if (isNow && jump.when === 'after') clock.advance(jump.byMs)
    return value
  }
  const jumped: Journal = {
    ...journal,
    put: (...args) => around(() => journal.put(...args)),
    delete: (...args) => around(() => journal.delete(...args)),
  }
  return { journal: jumped, hasJumped: () => writes >= jump.at }
}

async function oneUpdate(attestation: 'none' | 'proven', selfTest: () => boolean, jump: Parameters<typeof jumping>[2]) {
  const clock = manualClock()
  const registry = memoryRegistry()
  registry.addArtifact(repository, { content: boardImage('1.1.0'), tag: '1.1.0', version: '1.1.0' })
  const kept = memoryJournal({ now: clock.now })
  const { journal, hasJumped } = jumping(kept, clock, jump)
  const authenticators = [anonymousDevices()]
  const gateway = createGateway({
    repository,
    registry,
    verifiers: [unsignedArtifacts()],
    targets: [memoryTarget()],
    authenticators,
    attestation: [attestation === 'none' ? unattestedDevices() : honestVerifier],
    journal,
    cache: memoryCache(),
    policy: { attestation, attempts: 1 },
    clock: clock.now,
  })
  const handler = httpHandler({ gateway, authenticators })
  const board = pullingBoard('unit-1', selfTest, (request) => handler.fetch(request))
  // As often as an honest device comes, a minute apart; two visits are enough without a jump.
  for (let visit = 1; visit <= 4; visit++) {
    await board.visit('http://server.test')
    clock.advance(60_000)
  }
  board.close()
  const stored = (await kept.get('device/unit-1'))?.value as unknown as StoredDevice | undefined
  return { hasJumped: hasJumped(), outcome: stored?.history[0]?.outcome, wrong: wrongEnd(board, stored) }
}

describe('a clock that jumps at any journal write of an update', () => {
  const cases = [
    { attestation: 'none', isGood: true },
    { attestation: 'none', isGood: false },
    { attestation: 'proven', isGood: true },
  ] as const
  it.each(cases)(
    'by minutes, hours or days, back or on, leaves nothing stuck: evidence $attestation, image good $isGood',
    async ({ attestation, isGood }) => {
      for (const byMs of jumpsMs) {
        for (const when of ['before', 'after'] as const) {
          let at = 1
          for (; at < 100; at++) {
            const name = `${byMs} ms ${when} write ${at}`
            const { hasJumped, outcome, wrong } = await oneUpdate(attestation, () => isGood, { at, byMs, when })
            expect(wrong, name).toEqual([])
            expect(outcome, name).toBe(isGood ? 'confirmed' : 'failed')
            if (!hasJumped) break
          }
          expect(at).toBeGreaterThan(4)
        }
      }
    },
  )
})
