import { isOtaError, type Json } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRecord } from '../../src/journey/parse-record.ts'
import { world } from '../composition.ts'
import { at, d1, gatewayOf } from '../gateway/pull.ts'

/** A record with every part: history, attributes, and an open update that was reported of. */
async function written(): Promise<Json> {
  const { release, composition, clock } = world()
  release('1.1.0')
  const gateway = gatewayOf(composition)
  await gateway.attributes(d1, { slots: 2 }, 'merge')
  await gateway.checkIn(d1, at('1.0.0'))
  await gateway.report(d1, 1, { state: 'failed', messages: ['worn out'] })
  clock.advance(1)
  await gateway.checkIn(d1, at('1.0.0'))
  await gateway.report(d1, 2, { state: 'installed', messages: ['soon'] })
  const entry = await composition.journal.get('device/d1')
  if (entry === undefined) throw new Error('expected a record, found none')
  return entry.value
}

describe('a record', () => {
  test('is read back as it was written', async () => {
    const value = await written()
    expect(parseRecord('d1', value)).toBe(value)
  })

  test.each<[string, (text: string) => string]>([
    ['another version', (text) => text.replace('"v":1', '"v":2')],
    ['a number that no wire can carry', (text) => text.replace('"seq":2', '"seq":2147483647')],
    ['a number below zero', (text) => text.replace('"seq":2', '"seq":-2')],
    ['a hole in its history', (text) => text.replace('"history":[{', '"history":[null,{')],
    ['another stage', (text) => text.replace('"stage":"install"', '"stage":"confirm"')],
    ['a time that is none', (text) => text.replace(/"since":"[^"]*"/, '"since":"soon"')],
    ['another digest', (text) => text.replace(/"digest":"sha256:/, '"digest":"md5:')],
    ['an observation that no room knows', (text) => text.replace('"by":"report"', '"by":"rumour"')],
    [
      'a version that cannot be compared',
      (text) => text.replace('"version":"1.1.0"', '"version":"newest"').replace('"version":"1.1.0"', '"version":"newest"'),
    ],
    ['no plan', (text) => text.replace(/"plan":\{[^}]*\},/, '')],
  ])('with %s is FACTS_CORRUPT, and the message says where', async (_, spoil) => {
    const text = JSON.stringify(await written())
    const spoilt = spoil(text)
    expect(spoilt).not.toBe(text)
    expect(() => parseRecord('d1', JSON.parse(spoilt) as Json)).toThrow(
      expect.objectContaining({ code: 'FACTS_CORRUPT', fault: 'invalid' }),
    )
  })

  test('that somebody wrote raises nothing but OtaError, from the door on: whatever is in the journal', async () => {
    const good = await written()
    const leaf = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.string(),
      fc.constant([]),
      fc.constant({}),
      fc.jsonValue() as fc.Arbitrary<Json>,
    )
    /** Puts something else at one place of the document. */
    const mutate = (value: Json, path: readonly number[], other: Json): Json => {
      if (typeof value !== 'object' || value === null || path.length === 0) return other
      const keys = Object.keys(value)
      if (keys.length === 0) return other
      const key = keys[(path[0] ?? 0) % keys.length] as string
      if (Array.isArray(value)) return value.map((item, index) => (String(index) === key ? mutate(item, path.slice(1), other) : item))
      return { ...value, [key]: mutate((value as Record<string, Json>)[key] as Json, path.slice(1), other) }
    }
    const { release, composition } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    const { journal } = composition
    let refused = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }), leaf, async (path, other) => {
        const entry = await journal.get('device/d1')
        await journal.put('device/d1', mutate(good, path, other), { ifVersion: entry?.version ?? null })
        for (const act of [
          () => gateway.checkIn(d1, at('1.0.0')),
          () => gateway.read(d1, 2),
          () => gateway.report(d1, 2, { state: 'installed' }),
        ]) {
          try {
            await act()
          } catch (error) {
            if (!isOtaError(error)) throw error
            expect(['invalid', 'rejected', 'unsupported']).toContain(error.fault)
            refused += 1
          }
        }
      }),
      { numRuns: 300, seed: 7 },
    )
    expect(refused).toBeGreaterThan(100)
  })
})
