import { anonymousDevices } from '@reflash/core'
import { expect, test } from 'vitest'
import { httpTransport } from '../../src/http-transport.ts'
import { fakeGateway } from '../fake-gateway.ts'

test('draining waits until it is known what became of the last download', async () => {
  let journaled = false
  let begun: () => void = () => undefined
  const sending = new Promise<void>((resolve) => {
    begun = resolve
  })
  const gateway = {
    ...fakeGateway(),
    sent: async () => {
      begun()
      await new Promise((resolve) => setImmediate(resolve))
      journaled = true
    },
  }
  const serving = await httpTransport({ listen: '127.0.0.1:0' }).serve({ gateway, authenticators: [anonymousDevices()] })
  const answer = await fetch(`${serving.addresses[0]}/firmware?device=d1`)
  await answer.arrayBuffer()
  await sending
  await serving[Symbol.asyncDispose]()
  expect(journaled).toBe(true)
})
