import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Evidence } from '../../plugin/evidence-verifier.ts'
import { contextOf, expectBytes } from '../content.ts'
import { refused, refusesFired, survives } from '../refusal.ts'
import type { TransportRule } from '../transport-suite.ts'
import { nextTurn, within } from '../within.ts'
import { type AnyConnection, type PushStand, pushRules, standsOf } from './push-stand.ts'
import { expectNoSecret, secretsOf } from './secrets.ts'
import type { AnyPort, Words } from './words.ts'

const anyFault = { fault: ['invalid', 'unavailable', 'aborted', 'unsupported', 'rejected'] } as const
const silent = { fault: ['unavailable', 'invalid'] } as const

/** Connects to a device and asks it something, because a transport may find out only then that nobody is there. */
export async function reach(stand: PushStand, to = stand.device.device): Promise<AnyConnection> {
  const connection = await stand.connect({}, to)
  await stand.words.ask(connection.port, contextOf())
  return connection
}

/** Holds that a device is as it was. */
export async function unchanged(what: string, { words, device }: PushStand, before: Uint8Array): Promise<void> {
  expectBytes(`${what}: all that can be seen of the device`, await words.seen(device), before)
}

/** Connects anew and does a whole exchange. */
export async function serves(what: string, stand: PushStand, stepMs: number, way: 0 | 1 = 0): Promise<void> {
  const { words, device } = stand
  const connection = await stand.connect()
  await within(stepMs, `${what}: an exchange`, words.exchange(connection.port, device, contextOf(), way))
  await words.arrived(what, device, way)
  await within(stepMs, `${what}: the end of the connection`, connection[Symbol.asyncDispose]())
}

/** The way to a device: who is there, who else, and how it ends. */
export function connectRules(words: Words): readonly TransportRule[] {
  const rule = pushRules(words)
  return [
    rule('connects', 'connects to the device that it was asked for, and says who that is', async (stand) => {
      const connection = await stand.connect()
      const { port, principal } = connection
      const { id } = stand.device.device
      strictEqual(principal.deviceId, id, `principal.deviceId: expected ${id}, found ${principal.deviceId}`)
      strictEqual(port.deviceId, id, `port.deviceId: expected ${id}, found ${port.deviceId}`)
      const known = ['mtls', 'token', 'attestation', 'gateway', 'broker', 'anonymous']
      ok(known.includes(principal.by), `principal.by: expected one of ${known.join(', ')}, found ${principal.by}`)
      ok(typeof connection[Symbol.asyncDispose] === 'function', 'expected that a connection can be disposed')
      const members = port as unknown as Readonly<Record<string | symbol, unknown>>
      for (const name of [...words.methods, Symbol.asyncDispose])
        strictEqual(typeof members[name], 'function', `port.${String(name)}: expected a function, found ${typeof members[name]}`)
    }),
    rule('asks', 'carries what the device says, and changes nothing by connecting and asking', async (stand, { stepMs }) => {
      const before = await stand.words.seen(stand.device)
      const connection = await stand.connect()
      const found = await within(stepMs, 'the first word', stand.words.ask(connection.port, contextOf()))
      const expected = await stand.words.askedOf(stand.device)
      if (expected instanceof Uint8Array) expectBytes('what the device says', found as Uint8Array, expected)
      else deepStrictEqual(found, expected)
      await connection[Symbol.asyncDispose]()
      await unchanged('after a connection', stand, before)
    }),
    rule('exchanges', 'carries a whole exchange to the device', async (stand, { stepMs }) => {
      await serves('an exchange', stand, stepMs)
      await serves('another one', stand, stepMs, 1)
    }),
    rule('nobody', 'refuses a device that nobody knows, in good time and without a secret', async (stand, { stepMs }) => {
      const { device } = stand.device
      const nobody = { ...device, id: 'nobody-knows-this-one' }
      const reason = await within(
        stepMs,
        'a device that nobody knows',
        refused('a device that nobody knows', silent, () => reach(stand, nobody)),
      )
      expectNoSecret('a device that nobody knows', reason, secretsOf(stand.instance))
      await serves('after it', stand, stepMs)
    }),
    rule('two-devices', 'keeps two devices apart that are spoken to at the same time', async (stand, { stepMs }) => {
      const other = await stand.another()
      const both = [stand, other] as const
      await within(
        stepMs,
        'two exchanges at once',
        Promise.all(
          both.map(async (one, way) => {
            const { port } = await one.connect()
            await words.exchange(port, one.device, contextOf(), way as 0 | 1)
          }),
        ),
      )
      await stand.words.arrived('the first device', stand.device, 0)
      await other.words.arrived('the second device', other.device, 1)
    }),
    rule(
      'two-connections',
      'refuses a second connection to a device, or serves it, and spoils nothing of the first',
      async (stand, scene) => {
        const { stepMs } = scene
        const first = await reach(stand)
        const second = await within(
          stepMs,
          'a second connection',
          survives('a second connection', { fault: ['unavailable', 'invalid', 'unsupported'] }, () => reach(stand)),
        )
        await second?.[Symbol.asyncDispose]()
        await within(stepMs, 'an exchange on the first', stand.words.exchange(first.port, stand.device, contextOf()))
        await stand.words.arrived('after an exchange on the first', stand.device)
      },
    ),
    rule('isolated', 'shares no device and no end with another plugin', async (stand, { make, stepMs }) => {
      const instance = await make()
      const others = standsOf(instance, stand.words, stepMs)
      try {
        const other = await others.open()
        const connection = await reach(stand)
        await serves('the other plugin', other, stepMs, 1)
        if (other.device.device.id !== stand.device.device.id)
          await within(
            stepMs,
            'a device of the other plugin',
            refused('a device of the other plugin', silent, () => reach(stand, other.device.device)),
          )
        await within(stepMs, 'close() of the other plugin', instance.plugin.close?.())
        await stand.words.exchange(connection.port, stand.device, contextOf())
        await stand.words.arrived('after the end of the other plugin', stand.device)
      } finally {
        await others.close()
      }
    }),
    ...leavingRules(words),
    ...endingRules(words),
  ]
}

/** A caller who leaves: before, during, after. What leaves during a call stands with the broken wires. */
function leavingRules(words: Words): readonly TransportRule[] {
  const rule = pushRules(words)
  return [
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
}

function eachOf({ words, device }: PushStand, port: AnyPort, signal?: AbortSignal) {
  return words.each(port, device, contextOf(signal))
}

/** The end of a connection, and of the plugin. */
function endingRules(words: Words): readonly TransportRule[] {
  const rule = pushRules(words)
  return [
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
}

/** A nonce as it is usual, one with every byte that wires stumble over, and a long one. */
const challenges: readonly Uint8Array[] = [
  Uint8Array.from({ length: 32 }, (_, index) => index * 7),
  Uint8Array.of(0, 255, 10, 13, 192, 219, 0, 0, 128, 34, 92, 0),
  new Uint8Array(64).fill(0xc0),
]
