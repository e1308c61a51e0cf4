import type { Json } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { parseRecord } from '../../src/journey/parse-record.ts'
import { writtenRecord } from '../support/written-record.ts'

describe('a record', () => {
  test('is read back as it was written', async () => {
    const value = await writtenRecord()
    expect(parseRecord('d1', value)).toBe(value)
  })

  test.each<[string, (text: string) => string]>([
    ['another version', (text) => text.replace('"v":1', '"v":2')],
    ['a number that no wire can carry', (text) => text.replace('"seq":2', '"seq":2147483647')],
    ['a number below zero', (text) => text.replace('"seq":2', '"seq":-2')],
    ['a hole in its history', (text) => text.replace('"history":[{', '"history":[null,{')],
    ['a message that is no text', (text) => text.replace('"messages":["soon"]', '"messages":[{"toString":"soon"}]')],
    ['a reference that no digest pins', (text) => text.replace(/@sha256:[0-9a-f]{64}/, '')],
    ['a platform that is none', (text) => text.replace('"platforms":["custom/board"]', '"platforms":["custom board"]')],
    ['a reason without a code', (text) => text.replace('"because":[{"code":"DEVICE_FAILED",', '"because":[{')],
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
    const text = JSON.stringify(await writtenRecord())
    const spoilt = spoil(text)
    expect(spoilt).not.toBe(text)
    expect(() => parseRecord('d1', JSON.parse(spoilt) as Json)).toThrow(
      expect.objectContaining({ code: 'FACTS_CORRUPT', fault: 'invalid' }),
    )
  })
})
