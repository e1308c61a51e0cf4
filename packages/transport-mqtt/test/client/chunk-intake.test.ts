import { type AgentPort, coreError } from '@reflash/core'
import { expect, test } from 'vitest'
import { chunkIntake } from '../../src/client/chunk-intake.ts'

/** An intake of two chunks of 4 bytes, and the offsets that were stored. */
function intakeOf(write: (offset: number) => Promise<void>) {
  const stored: number[] = []
  const port: Pick<AgentPort, 'write'> = {
    write: (offset) => {
      stored.push(offset)
      return write(offset)
    },
  }
  const context = () => ({ signal: new AbortController().signal, now: new Date(0) })
  const bounds = { transfer: 1, offset: 0, size: 8, chunkBytes: 4, windowBytes: 8 }
  const intake = chunkIntake({ ...bounds, port: port as AgentPort, context, onChange: () => {} })
  return { intake, stored, take: (offset: number) => intake.take({ transfer: 1, offset, bytes: new Uint8Array(4) }) }
}

/** Some turns of the event loop: all that is in memory is done. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('chunks are stored where the first that came is not the first of the image', async () => {
  const { intake, stored, take } = intakeOf(async () => {})
  take(4)
  await turns()
  take(0)
  await turns()
  expect(stored).toEqual([0, 4])
  expect(intake.ack()).toMatchObject({ is: 'held', next: 8 })
  await intake.settled()
})

test('a port that throws before it returns a promise is told of, and nothing waits for it', async () => {
  const { intake, take } = intakeOf(() => {
    throw coreError('INVALID_STATE', 'expected another state')
  })
  take(0)
  await turns()
  expect(intake.ack()).toMatchObject({ is: 'refused', next: 0 })
  await intake.settled()
})
