import { isOtaError } from '@reflash/core'
import { expect, test } from 'vitest'
import { readReport } from '../../../src/protocol/native/report.ts'
import { started } from '../../started.ts'
import { post, wire } from '../../wire.ts'

test('a report arrives at the gateway as it was said, as often as it is said', async () => {
  const { url, gateway } = await started()
  const client = await wire(url)
  const said = { state: 'downloading', received: 4096, code: 'X', messages: ['a', 'b'] }
  for (let round = 0; round < 2; round++) {
    client.send(post('/v1/devices/d1/offers/7/report', JSON.stringify({ ...said, more: 1 })))
    const answer = await client.answer()
    expect([answer.status, answer.body.length]).toEqual([204, 0])
  }
  expect(gateway.calls.map(({ name, args }) => [name, ...args])).toEqual([
    ['report', 7, said],
    ['report', 7, said],
  ])
  client.close()
})

test.each<[object, RegExp]>([
  [{}, /^state: expected one of downloading, .* found a undefined/],
  [{ state: 'done' }, /^state/],
  [{ state: ['failed'] }, /^state: .* found a list of 1/],
  [{ state: 'failed', received: -1 }, /^received/],
  [{ state: 'failed', received: 1.5 }, /^received/],
  [{ state: 'failed', received: '1' }, /^received/],
  [{ state: 'failed', code: '' }, /^code/],
  [{ state: 'failed', code: 'c'.repeat(65) }, /^code/],
  [{ state: 'failed', messages: 'text' }, /^messages/],
  [{ state: 'failed', messages: [1] }, /^messages/],
  [{ state: 'failed', messages: ['m'.repeat(1025)] }, /^messages/],
  [{ state: 'failed', messages: Array.from({ length: 51 }, () => 'm') }, /^messages: .* found a list of 51/],
])('%j is refused by name', (body, message) => {
  let thrown: unknown
  try {
    readReport(body as Record<string, unknown>)
  } catch (error) {
    thrown = error
  }
  expect(isOtaError(thrown) && thrown.code).toBe('INVALID_BODY')
  expect((thrown as Error).message).toMatch(message)
})
