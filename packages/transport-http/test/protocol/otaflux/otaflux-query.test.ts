import { isOtaError } from '@reflash/core'
import { expect, test } from 'vitest'
import { deviceOfQuery } from '../../../src/protocol/otaflux/otaflux-query.ts'

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
