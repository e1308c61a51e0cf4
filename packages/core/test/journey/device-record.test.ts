import type { Digest } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import {
  type ClosedUpdate,
  closed,
  type DeviceRecord,
  emptyRecord,
  failedAttempts,
  historyLimit,
  knownVersion,
} from '../../src/journey/device-record.ts'

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`
const end = (outcome: ClosedUpdate['outcome'], letter = 'a', tried = true): ClosedUpdate => ({
  seq: 1,
  at: '2030-01-01T00:00:00.000Z',
  outcome,
  version: `1.0.${letter}`,
  digest: digest(letter),
  because: [],
  tried,
})
const record = (...history: readonly ClosedUpdate[]): DeviceRecord => ({ ...emptyRecord, history })

describe('failed attempts', () => {
  test('count what the device tried in vain with this image since anything was confirmed', () => {
    expect(failedAttempts(record(end('failed'), end('failed'), end('unobserved')), digest('a'))).toBe(3)
    expect(failedAttempts(record(end('failed'), end('failed', 'b'), end('superseded')), digest('a'))).toBe(1)
    expect(failedAttempts(record(end('failed'), end('confirmed', 'b'), end('failed')), digest('a'))).toBe(1)
    expect(failedAttempts(record(end('failed', 'a', false), end('unobserved', 'a', false)), digest('a'))).toBe(0)
    expect(failedAttempts(record(), digest('a'))).toBe(0)
  })
})

describe('a closed update', () => {
  const open = { seq: 3, version: '1.1.0', digest: digest('a') } as NonNullable<DeviceRecord['open']>

  test('is the first of a history that stays short, in words that stay short', () => {
    let all: DeviceRecord = emptyRecord
    const because = Array.from({ length: 40 }, () => ({ code: 'C'.repeat(1_000), message: 'm'.repeat(100_000) }))
    for (let seq = 1; seq <= 40; seq++) all = closed({ ...all, open: { ...open, seq } }, 'failed', because, new Date(0), true)
    expect(all.open).toBeUndefined()
    expect(all.history.map(({ seq }) => seq)).toEqual(Array.from({ length: historyLimit }, (_, index) => 40 - index))
    expect(JSON.stringify(all).length).toBeLessThan(100_000)
  })

  test('is nothing where nothing was open', () => {
    expect(closed(emptyRecord, 'failed', [], new Date(0), true)).toBe(emptyRecord)
  })
})

test('the version of an image is the one that was last confirmed of it', () => {
  const known = record(
    { ...end('failed'), version: '3.0.0' },
    { ...end('confirmed'), version: '2.0.0' },
    { ...end('confirmed'), version: '1.0.0' },
  )
  expect(knownVersion(known, digest('a'))).toBe('2.0.0')
  expect(knownVersion(known, digest('b'))).toBeUndefined()
  expect(knownVersion(known, undefined)).toBeUndefined()
})
