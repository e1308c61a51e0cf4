import { expect } from 'vitest'
import type { RandomTable } from './crash-at-random.ts'
import type { FaultTable } from './every-fault.ts'

/** Holds that every fault point of a path was hit, and that every update came to its end. */
export function expectWhole(table: FaultTable, ends: 'confirmed' | 'failed' | 'unobserved', moments: number): void {
  const { path, writes, runs, kills, confirmed, failed, problems, ...wrong } = table
  expect(problems, path).toEqual([])
  expect(wrong, path).toEqual({ stuck: 0, falselyConfirmed: 0, reportsLost: 0 })
  expect(writes, path).toBeGreaterThan(3)
  // Each moment has one run that was not killed: so the one before it was the last write.
  expect(kills, path).toBe(runs - moments)
  expect(ends === 'confirmed' ? confirmed : failed, path).toBe(runs)
}

/** Holds that a fleet came to its end, whenever its server died. */
export function expectNothingLost(table: RandomTable): void {
  const { problems, stuck, falselyConfirmed, reportsLost, ...counts } = table
  console.log(`seed ${counts.seed} (REFLASH_SEED sets it): ${JSON.stringify(counts)}`)
  expect(problems, `seed ${counts.seed}`).toEqual([])
  expect({ stuck, falselyConfirmed, reportsLost }).toEqual({ stuck: 0, falselyConfirmed: 0, reportsLost: 0 })
  expect(counts.confirmed).toBeGreaterThan(counts.devices)
  expect(counts.inTheMiddle).toBeGreaterThan(0)
}
