import { isOtaError } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { topicsOf } from '../src/topics.ts'

const topics = topicsOf('plant-1/ota')
const ids = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:+=@-]{0,127}$/)

describe('topics', () => {
  test('name the device, and no two devices share one', () => {
    fc.assert(
      fc.property(ids, ids, (one, other) => {
        expect(topics.parseUp(topics.up(one, 'check-in'))).toEqual({ deviceId: one, kind: 'check-in' })
        expect(topics.up(one, 'report')).not.toMatch(/[+#]/)
        if (one !== other) expect(topics.up(one, 'report')).not.toBe(topics.up(other, 'report'))
      }),
    )
  })

  test('carry the instance of the server where one is answered, and only there', () => {
    const instance = '0123456789abcdef'
    expect(topics.parseUp(topics.up('d', 'agent', instance))).toEqual({ deviceId: 'd', kind: 'agent', instance })
    expect(topics.parseDown(topics.down('d', 'chunk', instance))).toEqual({ kind: 'chunk', instance })
    expect(topics.parseDown(topics.down('d', 'answer'))).toEqual({ kind: 'answer' })
  })

  test('that belong to nobody are read as none', () => {
    const strange = [
      '',
      'd/check-in',
      'plant-1/ota/v1/up',
      'plant-1/ota/v1/up/d',
      'plant-1/ota/v1/up/../check-in',
      'plant-1/ota/v1/up/%2b/check-in',
    ]
    const more = [
      'd/format',
      'd:+1/check-in',
      'd:+1/check-in',
      'd/check-in/x',
      'd/agent',
      'd/ack/',
      '/check-in',
      '%2Bd/check-in',
      '+/check-in',
      '#',
    ].map((end) => `plant-1/ota/v1/up/${end}`)
    for (const topic of [...strange, ...more.filter((topic) => !topic.endsWith('ack/'))])
      expect(topics.parseUp(topic), topic).toBeUndefined()
    for (const topic of ['plant-1/ota/v1/down/d/chunk', 'plant-1/ota/v1/down/d/chunk/UPPER', 'plant-1/ota/v1/down/d/answer/x', 'other']) {
      expect(topics.parseDown(topic), topic).toBeUndefined()
    }
  })

  test('refuse a prefix that would reach beyond itself', () => {
    for (const prefix of ['', '/', 'a/', '/a', 'a//b', '+', 'a/#', 'a b', '$share/a', 'x'.repeat(129)]) {
      expect(() => topicsOf(prefix), prefix).toThrow(
        expect.toSatisfy((error: unknown) => isOtaError(error) && error.code === 'INVALID_OPTIONS'),
      )
    }
  })
})
