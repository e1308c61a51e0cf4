import { createHash } from 'node:crypto'
import { anonymousDevices, tokenDevices } from '@reflash/core'
import { describe, expect, test } from 'vitest'

const context = { signal: new AbortController().signal }
const hashed = (token: string): string => `sha256:${createHash('sha256').update(token).digest('hex')}`
const secret = 'aVery-secret~token'

describe('tokenDevices', () => {
  test('knows each device by its own token, plain or hashed', async () => {
    for (const tokens of [
      { d1: secret, d2: hashed('other') },
      new Map([
        ['d1', hashed(secret)],
        ['d2', 'other'],
      ]),
    ]) {
      const devices = tokenDevices(tokens)
      const who = (claimedId: string | undefined, token: string | undefined) =>
        devices.authenticate({ ...(claimedId === undefined ? {} : { claimedId }), ...(token === undefined ? {} : { token }) }, context)
      expect(who('d1', secret)).toEqual({ deviceId: 'd1', by: 'token' })
      expect(who('d2', 'other')).toEqual({ deviceId: 'd2', by: 'token' })
      expect(who('d1', 'other')).toBeUndefined()
      expect(who('d2', secret)).toBeUndefined()
      expect(who('d3', secret)).toBeUndefined()
      expect(who('__proto__', secret)).toBeUndefined()
      expect(who('d1', '')).toBeUndefined()
      expect(who('d1', undefined)).toBeUndefined()
      expect(who(undefined, secret)).toBeUndefined()
    }
  })

  test('refuses what differs in one letter or in length from a token that has passed, and knows that one again', () => {
    const devices = tokenDevices({ d1: hashed(secret), d2: hashed('other') })
    const who = (claimedId: string, token: string) => devices.authenticate({ claimedId, token }, context)
    expect(who('d1', secret)).toBeDefined()
    for (let at = 0; at < secret.length; at++) expect(who('d1', `${secret.slice(0, at)}#${secret.slice(at + 1)}`)).toBeUndefined()
    for (const wrong of [secret.slice(1), secret.slice(0, -1), `${secret}\0`, `${secret}x`]) expect(who('d1', wrong)).toBeUndefined()
    expect(who('d2', secret)).toBeUndefined()
    expect(who('d1', secret)).toEqual({ deviceId: 'd1', by: 'token' })
  })

  test('takes no hash for a token, and no endless token', () => {
    const devices = tokenDevices({ d1: secret })
    expect(devices.authenticate({ claimedId: 'd1', token: hashed(secret) }, context)).toBeUndefined()
    const long = 'x'.repeat(1024)
    expect(tokenDevices({ d1: long }).authenticate({ claimedId: 'd1', token: long }, context)).toBeDefined()
    expect(tokenDevices({ d1: hashed(`${long}x`) }).authenticate({ claimedId: 'd1', token: `${long}x` }, context)).toBeUndefined()
  })

  test('refuses the hash of an empty text, which a script writes whose variable is not set', () => {
    expect(() => tokenDevices({ d1: hashed('') })).toThrow(expect.objectContaining({ code: 'INVALID_TOKENS' }))
  })

  test.each<[string, Record<string, string>]>([
    ['a device id that is none', { [`${secret}/`]: 'x' }],
    ['a file written the wrong way round', { [`${secret}!`]: 'd1' }],
    ['a hash that is cut short', { d1: hashed(secret).slice(0, 40) }],
    ['a hash in capitals', { d1: hashed(secret).toUpperCase().replace('SHA256', 'sha256') }],
    ['an empty token', { d1: '' }],
    ['an endless token', { d1: secret.repeat(100) }],
    ['a token that is no text', { d1: 5 as never }],
    ['nothing', {}],
  ])('refuses %s without showing a token', (_, tokens) => {
    let error: unknown
    try {
      tokenDevices(tokens)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'INVALID_TOKENS', fault: 'invalid' })
    const shown = JSON.stringify(error) + String(error)
    expect(shown).not.toContain(secret)
    expect(shown).not.toContain(hashed(secret).slice(7, 30))
  })

  test('leaves nothing open', () => {
    expect(tokenDevices({ d1: secret }).opens).toBeUndefined()
  })
})

describe('anonymousDevices', () => {
  test('believes every id that is one, and says so', () => {
    const devices = anonymousDevices()
    expect(devices.opens).toMatch(/no credentials/)
    expect(devices.authenticate({ claimedId: 'd1' }, context)).toEqual({ deviceId: 'd1', by: 'anonymous' })
    for (const claimedId of ['', '../d1', 'a b', 'x'.repeat(129)]) expect(devices.authenticate({ claimedId }, context)).toBeUndefined()
    expect(devices.authenticate({}, context)).toBeUndefined()
  })
})
