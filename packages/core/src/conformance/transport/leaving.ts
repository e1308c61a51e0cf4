import { ok, strictEqual } from 'node:assert/strict'
import type { Evidence } from '../../plugin/evidence-verifier.ts'
import { contextOf, expectBytes } from '../content.ts'
import { refused, refusesFired } from '../refusal.ts'
import type { TransportRule } from '../transport-suite.ts'
import { nextTurn, within } from '../within.ts'
import { reach, serves, unchanged } from './connecting.ts'
import { type PushStand, pushRules } from './push-stand.ts'
import type { AnyPort } from './words.ts'

const anyFault = { fault: ['invalid', 'unavailable', 'aborted', 'unsupported', 'rejected'] } as const
const rule = pushRules()

/** A caller who leaves: before, during, after. What leaves during a call stands with the broken wires. */
export const leavingRules: readonly TransportRule[] = [
  rule('abort-before', 'does nothing for a caller who has left', async (stand) => {
    await refusesFired('connect', (signal) => stand.connect({ signal }))
    const { port } = await stand.connect()
    const before = await stand.words.seen(stand.device)
    for (const name of Object.keys(eachOf(stand, port))) {
      await refusesFired(name, (signal) => eachOf(stand, port, signal)[name]?.())
    }
    await unchanged('after words whose caller had left', stand, before)
  }),
  rule('abort-after', 'keeps a connection whose signal fires once it stands', async (stand, { stepMs }) => {
    const controller = new AbortController()
    const { port } = await stand.connect({ signal: controller.signal })
    controller.abort()
    await nextTurn(2)
    await within(stepMs, 'an exchange', stand.words.exchange(port, stand.device, contextOf()))
    await stand.words.arrived('after the signal of connect() has fired', stand.device)
  }),
]

function eachOf({ words, device }: PushStand, port: AnyPort, signal?: AbortSignal) {
  return words.each(port, device, contextOf(signal))
}

/** The end of a connection, and of the plugin. */
export const endingRules: readonly TransportRule[] = [
  rule('disposed', 'refuses every word after the end of its connection, and tells the device nothing', async (stand, { stepMs }) => {
    const connection = await reach(stand)
    await connection[Symbol.asyncDispose]()
    const before = await stand.words.seen(stand.device)
    for (const [name, call] of Object.entries(eachOf(stand, connection.port)))
      await within(stepMs, name, refused(`${name} after the end`, anyFault, call))
    await unchanged('after the end', stand, before)
  }),
  rule('dispose-twice', 'ends a connection twice, also at the same time, and by its port first', async (stand, { stepMs }) => {
    const connection = await reach(stand)
    const end = () => connection[Symbol.asyncDispose]()
    await within(stepMs, 'two ends at once', Promise.all([end(), end()]))
    await within(stepMs, 'a third end', end())
    const other = await reach(stand)
    await within(stepMs, 'the end of a port', other.port[Symbol.asyncDispose]())
    await within(stepMs, 'the end of its connection', other[Symbol.asyncDispose]())
    await serves('after them', stand, stepMs)
  }),
  rule('again', 'connects as often as it is asked to, and leaves nothing open', async (stand, { stepMs }) => {
    const { device } = stand
    const before = await device.connections?.()
    for (let count = 0; count < 12; count++) await (await reach(stand))[Symbol.asyncDispose]()
    const found: number | undefined = await device.connections?.()
    strictEqual(found, before, `expected ${before} open connections as before, found ${found}`)
    await serves('after many connections', stand, stepMs)
  }),
  rule(
    'closed',
    'ends its connections when it is closed, and refuses to connect from then on',
    async (stand, { stepMs }) => {
      const { port } = await reach(stand)
      await within(stepMs, 'close()', stand.instance.plugin.close?.())
      await within(
        stepMs,
        'a word after close()',
        refused('a word after close()', anyFault, () => stand.words.ask(port, contextOf())),
      )
      await within(
        stepMs,
        'connect() after close()',
        refused('connect() after close()', anyFault, () => reach(stand)),
      )
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
  rule('evidence', 'carries a challenge to the device and its evidence back, byte for byte', async (stand, { stepMs, skip }) => {
    const { device } = stand
    if (device.evidence === undefined) return skip('the wire that make() gives carries no evidence')
    const connection = await stand.connect()
    ok(connection.evidence !== undefined, 'evidence: expected a method of the connection, because the device shows evidence, found none')
    for (const challenge of challenges) {
      const found: Evidence = await within(stepMs, 'evidence()', connection.evidence(challenge, contextOf()))
      const expected: Evidence = await device.evidence(challenge)
      strictEqual(found.mediaType, expected.mediaType)
      expectBytes('the evidence', found.body, expected.body)
    }
    await refusesFired('evidence', (signal) => connection.evidence?.(challenges[0] as Uint8Array, contextOf(signal)))
  }),
]

/** A nonce as it is usual, one with every byte that wires stumble over, and a long one. */
const challenges: readonly Uint8Array[] = [
  Uint8Array.from({ length: 32 }, (_, index) => index * 7),
  Uint8Array.of(0, 255, 10, 13, 192, 219, 0, 0, 128, 34, 92, 0),
  new Uint8Array(64).fill(0xc0),
]
