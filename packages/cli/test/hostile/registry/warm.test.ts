import { beforeAll, describe, expect, test } from 'vitest'
import { attackedWarmInChild, expectedOf, warmTable } from './attacked-in-child.ts'
import type { WarmMode, WarmResult } from './run-warm-attack.ts'
import { served, warmAttacks } from './warm-attacks.ts'

/** What the limits of the bench come to, with a machine that is busy with something else. */
const longestMs = 4_000
const mostMiB = 64

const rows = warmAttacks.flatMap(({ name, newer }) => (['running', 'restarted'] as const).map((mode): Row => ({ name, mode, newer })))

interface Row {
  readonly name: string
  readonly mode: WarmMode
  readonly newer: string | undefined
}

describe('a system that has served honestly and is in the middle of two updates, and a registry that does', () => {
  let results: readonly WarmResult[] = []
  beforeAll(async () => {
    results = await attackedWarmInChild()
    console.log(warmTable(results))
  }, 240_000)

  test.each(rows)('$name ($mode): fails no update, sends no other byte, and both get the newest afterwards', ({ name, mode, newer }) => {
    const result = results.find((one) => one.name === name && one.mode === mode) as WarmResult
    expect(result).toMatchObject({ failed: [], foreignBytes: 0, after: ['1.2.0 confirmed', '1.2.0 confirmed'] })
    expect(result.longestMs).toBeLessThan(longestMs)
    expect(result.peakMiB).toBeLessThan(mostMiB)
    const { pull, push, fresh } = expectedOf({ name, mode })
    expect(result.during).toEqual([pull, push].map((outcome) => `${outcome === served ? '1.1.0' : '1.0.0'} confirmed`))
    if (pull !== served) expect(result.pull).toContain(pull)
    if (push !== served) expect(result.push).toContain(push)
    expect(result.fresh).toContain(fresh)
    if (newer !== undefined) expect(result.pull).toContain(newer)
  })
})
