import { ok, strictEqual } from 'node:assert/strict'
import { expectBytes, gather, sampleBytes } from '../content.ts'
import { refused } from '../refusal.ts'
import { stalledSource } from '../sources.ts'
import type { TransportRule } from '../transport-suite.ts'
import { nextTurn, until, within } from '../within.ts'
import { untilAsked } from './authenticating.ts'
import { type ServeStand, serveRule } from './serve-stand.ts'

const end = ({ serving }: ServeStand): Promise<void> => serving[Symbol.asyncDispose]() as Promise<void>

/** A check-in that waits in the gateway until it is let go. */
async function underWay(stand: ServeStand) {
  const release = Promise.withResolvers<void>()
  const ended: unknown[] = []
  stand.gateway.before = ({ signal }) =>
    new Promise<void>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
      void release.promise.then(resolve)
    })
  const client = await stand.client()
  const answer = client.checkIn()
  answer.then(
    (value) => ended.push(value),
    (error: unknown) => ended.push(error),
  )
  await untilAsked(stand)
  return { answer, release: release.resolve, ended }
}

/** Ends of a server. */
export const drainRules: readonly TransportRule[] = [
  serveRule('dispose-idle', 'ends where nothing is under way, and is not to be reached from then on', async (stand) => {
    await stand.honest('before its end')
    stand.taken()
    await within(stand.stepMs, 'the end of the server', end(stand))
    const what = 'a check-in after the end'
    await within(
      stand.stepMs,
      what,
      refused(what, { fault: 'unavailable' }, async () => (await stand.client(stand.devices[1])).checkIn()),
    )
    strictEqual(stand.taken().length, 0, 'expected no call of the gateway after the end')
  }),
  serveRule('dispose-twice', 'ends twice, also at the same time', async (stand) => {
    await within(stand.stepMs, 'two ends at once', Promise.all([end(stand), end(stand)]))
    await within(stand.stepMs, 'a third end', end(stand))
  }),
  serveRule('drains', 'lets an answer go out that is under way when the end comes, and ends after it', async (stand) => {
    const { answer, release } = await underWay(stand)
    let isOver = false
    const over = end(stand).then(() => {
      isOver = true
    })
    // A server that waits no time at all cuts by a timer, which has run before this one.
    await new Promise<void>((resolve) => setTimeout(resolve, 5))
    await nextTurn(20)
    ok(!isOver, 'expected that the end waits for an answer that is under way')
    release()
    const { offer } = await within(stand.stepMs, 'the answer that was under way', answer)
    ok(offer !== undefined, 'expected the offer')
    await within(stand.stepMs, 'the end of the server', over)
  }),
  serveRule('drains-image', 'lets an image go out that is under way when the end comes', async (stand) => {
    const bytes = sampleBytes(200_000, 31)
    const half = Promise.withResolvers<void>()
    async function* slowly(offset: number, length: number): AsyncGenerator<Uint8Array> {
      const wanted = bytes.subarray(offset, offset + length)
      yield wanted.subarray(0, wanted.length >> 1)
      await half.promise
      yield wanted.subarray(wanted.length >> 1)
    }
    stand.gateway.image = () => ({ bytes, body: slowly })
    const client = await stand.client()
    const { offer } = await within(stand.stepMs, 'a check-in', client.checkIn())
    ok(offer !== undefined, 'expected an offer')
    const image = gather('the image', client.image(offer))
    image.catch(() => undefined)
    await until(stand.stepMs, 'a read of the image', () => stand.gateway.calls.some(({ name }) => name === 'read'))
    await nextTurn(5)
    const over = end(stand)
    await nextTurn(5)
    half.resolve()
    expectBytes('the image', await within(stand.stepMs, 'the image', image), bytes)
    await within(stand.stepMs, 'the end of the server', over)
  }),
  serveRule('drain-ends', 'waits for nobody for ever when the end comes, and tells the gateway so', async (stand) => {
    const { ended } = await underWay(stand)
    const signals = stand.gateway.calls.map(({ signal }) => signal)
    await within(stand.stepMs, 'the end of a server whose gateway does not answer', end(stand))
    await until(stand.stepMs, 'the end of the check-in', () => ended.length > 0)
    ok(
      signals.every((signal) => signal?.aborted === true),
      'expected that the signal of the gateway has fired for a device that is not waited for',
    )
  }),
  serveRule('drain-stalled', 'waits for no reader for ever when the end comes, and ends what it reads', async (stand) => {
    const bytes = sampleBytes(1_000_000, 32)
    const source = stalledSource(bytes.subarray(0, 100_000))
    stand.gateway.image = () => ({ bytes, body: () => source.open() })
    const client = await stand.client()
    const { offer } = await within(stand.stepMs, 'a check-in', client.checkIn())
    ok(offer !== undefined, 'expected an offer')
    const stream = client.image(offer)[Symbol.asyncIterator]()
    await within(stand.stepMs, 'a part of the image', stream.next())
    await within(stand.stepMs, 'the end of a server whose image stalls', end(stand))
    await until(stand.stepMs, 'the end of its source', () => source.ended >= source.opened)
  }),
]
