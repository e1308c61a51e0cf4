import { isDeviceId, isOtaError } from '@reflash/core'
import { expect, test } from 'vitest'
import { deviceOfQuery } from '../../../src/protocol/otaflux/otaflux-query.ts'
import { seeded } from '../../started.ts'

test.each([
  ['device=d1', 'd1'],
  ['a=b&device=d1', 'd1'],
  ['device=d1&', 'd1'],
  ['&&device=d1&x', 'd1'],
  ['device=aa%3Abb', 'aa:bb'],
  ['device=a%2Bb', 'a+b'],
  ['devices=1&device=d1&devic=2', 'd1'],
])('the device of %s is %s', (query, id) => {
  expect(deviceOfQuery(query)).toBe(id)
})

test.each([
  ['', 'INVALID_QUERY'],
  ['device', 'INVALID_QUERY'],
  ['device=', 'INVALID_QUERY'],
  ['Device=d1', 'INVALID_QUERY'],
  ['device=a&device=a', 'INVALID_QUERY'],
  ['device=a&device', 'INVALID_QUERY'],
  ['device=%', 'INVALID_QUERY'],
  ['device=%ff', 'INVALID_QUERY'],
  ['device=a+b', 'INVALID_DEVICE_ID'],
  ['device==a', 'INVALID_DEVICE_ID'],
  ['device=a=b', undefined],
])('%j is refused with %s', (query, code) => {
  let found: string | undefined
  try {
    deviceOfQuery(query)
  } catch (error) {
    found = isOtaError(error) ? error.code : String(error)
  }
  expect(found).toBe(code)
})

test('20,000 mutations of a query give a device id or an invalid query, and nothing else', () => {
  const below = seeded(1)
  const pieces = ['device', '=', '&', '%', '2F', '%41', 'd1', '+', '..', '/', '\u0000', 'é', ';', '?', '#', '%C3%A9', ' ', '%0a']
  let ids = 0
  for (let round = 0; round < 20_000; round++) {
    const query = Array.from({ length: below(8) }, () => (below(3) === 0 ? 'device=' : pieces[below(pieces.length)])).join('')
    try {
      expect(isDeviceId(deviceOfQuery(query)), query).toBe(true)
      ids++
    } catch (error) {
      expect(isOtaError(error) && error.fault, query).toBe('invalid')
    }
  }
  expect(ids).toBeGreaterThan(100)
})
