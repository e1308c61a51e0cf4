import {
  checkJournalKey,
  checkJournalPrefix,
  type Json,
  journalExpiry,
  journalKeyLimitBytes,
  journalText,
  journalValueLimitBytes,
} from '@reflash/core'
import { describe, expect, it } from 'vitest'

const circle: Record<string, unknown> = {}
circle.self = circle

describe('journal entries', () => {
  it.each([' ', '~', 'a/b', 'x'.repeat(journalKeyLimitBytes)])('take the key %j', (key) => {
    checkJournalKey(key)
  })

  it.each(['', 'x'.repeat(journalKeyLimitBytes + 1), 'a\n', 'a\0', '\x7f', 'é', 'p/\u{1f600}', 5])('refuse the key %j', (key) => {
    expect(() => checkJournalKey(key as string)).toThrow(expect.objectContaining({ code: 'INVALID_KEY', fault: 'invalid' }))
  })

  it('take the empty prefix and refuse one that no key can have', () => {
    checkJournalPrefix('')
    expect(() => checkJournalPrefix('é')).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }))
  })

  it.each([undefined, () => 1, 1n, circle])('refuse the value %o, which is not JSON', (value) => {
    expect(() => journalText(value as Json)).toThrow(expect.objectContaining({ code: 'INVALID_VALUE', fault: 'invalid' }))
  })

  it('take a value of exactly the limit in UTF-8 and refuse one byte more', () => {
    const most = 'é'.repeat((journalValueLimitBytes - 2) / 2)
    expect(journalText(most)).toBe(`"${most}"`)
    expect(() => journalText(`${most}x`)).toThrow(expect.objectContaining({ code: 'TOO_LARGE', fault: 'invalid' }))
  })

  it('refuse an expiry that is no moment', () => {
    expect(journalExpiry(new Date(5))).toBe(5)
    expect(journalExpiry(undefined)).toBeUndefined()
    expect(() => journalExpiry(new Date(Number.NaN))).toThrow(expect.objectContaining({ code: 'INVALID_VALUE' }))
  })
})
