import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { contextOf, expectBytes } from '../content.ts'
import { refused, survives } from '../refusal.ts'
import type { TransportRule } from '../transport-suite.ts'
import { within } from '../within.ts'
import { type AnyConnection, type PushStand, pushRules, standsOf } from './push-stand.ts'
import { expectNoSecret, secretsOf } from './secrets.ts'

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

const rule = pushRules()

/** The way to a device: who is there, and who else. */
export const connectRules: readonly TransportRule[] = [
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
    for (const name of [...stand.words.methods, Symbol.asyncDispose])
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
          await one.words.exchange(port, one.device, contextOf(), way as 0 | 1)
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
    const others = standsOf(instance, stepMs)
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
]
