import type { Json } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { parseRecord } from '../../src/journey/parse-record.ts'
import { writtenRecord } from '../support/written-record.ts'

function asked(record: Json, cancel: Json): Json {
  const { open, ...rest } = record as { readonly open: Readonly<Record<string, Json>> }
  return { ...rest, open: { ...open, cancel } }
}

describe('a record', () => {
  test('is read back as it was written', async () => {
    const value = await writtenRecord()
    expect(parseRecord('d1', value)).toBe(value)
  })

  test('of a device that was asked to stop is read back as it was written', async () => {
    const value = asked(await writtenRecord(), {
      at: '2030-01-01T00:00:00.000Z',
      because: [{ code: 'SUPERSEDED', message: 'gone' }],
      refused: true,
    })
    expect(parseRecord('d1', value)).toBe(value)
  })

  test.each<[string, Json]>([
    ['nothing', null],
    ['no time', { because: [] }],
    ['a time that is none', { at: 'soon', because: [] }],
    ['reasons that are none', { at: '2030-01-01T00:00:00.000Z', because: ['gone'] }],
    ['no reasons', { at: '2030-01-01T00:00:00.000Z' }],
    ['a refusal that is none', { at: '2030-01-01T00:00:00.000Z', because: [], refused: 'yes' }],
  ])('of a device that was asked to stop with %s is FACTS_CORRUPT', async (_, cancel) => {
    const value = asked(await writtenRecord(), cancel)
    expect(() => parseRecord('d1', value)).toThrow(
      expect.objectContaining({ code: 'FACTS_CORRUPT', message: expect.stringContaining('open.cancel') }),
    )
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
