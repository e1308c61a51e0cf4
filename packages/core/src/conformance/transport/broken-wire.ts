import { deepStrictEqual, ok } from 'node:assert/strict'
import { contextOf } from '../content.ts'
import { refused, survives } from '../refusal.ts'
import type { TransportRule, WireFault } from '../transport-suite.ts'
import { nextTurn, within } from '../within.ts'
import { reach, serves } from './connecting.ts'
import { type PushStand, pushRules, withFault } from './push-stand.ts'
import { expectNoSecret, secretsOf } from './secrets.ts'

const unavailable = { fault: 'unavailable' } as const
const broken = { fault: ['unavailable', 'invalid', 'rejected'] } as const

/** An exchange on a spoiled wire: it may fail, and where it says that it went well, it went well. Then the wire is mended. */
async function spoiled(stand: PushStand, fault: WireFault, stepMs: number, mustEndWell: boolean): Promise<void> {
  const { words, device } = stand
  const { port } = await reach(stand)
  await device.wire.spoil(fault)
  const asked = await within(
    stepMs,
    `a word on a wire that is "${fault}"`,
    survives(`a word on a wire that is "${fault}"`, broken, () => words.ask(port, contextOf())),
  )
  if (asked !== undefined) deepStrictEqual(asked, await words.askedOf(device), `a word on a wire that is "${fault}"`)
  const work = async (): Promise<true> => {
    await words.exchange(port, device, contextOf())
    return true
  }
  const what = `an exchange on a wire that is "${fault}"`
  const isDone = await within(stepMs, what, mustEndWell ? work() : survives(what, broken, work))
  if (isDone) await words.arrived(what, device)
  await device.wire.mend()
  await serves(`after a wire that was "${fault}"`, stand, stepMs)
}

/** A word while the device does not answer, of whose going out the plugin has made sure. */
async function unanswered(
  stand: PushStand,
  fault: 'deaf' | 'mute',
  call: () => Promise<unknown>,
): Promise<{ readonly call: Promise<unknown> }> {
  await stand.device.wire.spoil(fault)
  const made = call()
  made.catch(() => undefined)
  await nextTurn(3)
  return { call: made }
}

const rule = pushRules()

/** Lines that break, and devices that do not answer. */
export const brokenWireRules: readonly TransportRule[] = [
  rule('cut', 'says "unavailable" where the line is cut, without a secret, and connects again once it is mended', async (stand, scene) => {
    const { device, instance } = stand
    const { stepMs } = scene
    const { port } = await reach(stand)
    await stand.words.change(port, device, contextOf())
    await device.wire.cut()
    for (const [name, call] of [
      ['a word', () => stand.words.ask(port, contextOf())],
      ['a change', () => stand.words.change(port, device, contextOf())],
      ['connect()', () => reach(stand)],
    ] as const) {
      const what = `${name} on a line that is cut`
      expectNoSecret(what, await within(stepMs, what, refused(what, unavailable, call)), secretsOf(instance))
    }
    await device.wire.mend()
    await serves('once the line is mended', stand, stepMs)
  }),
  rule(
    'deaf',
    'says "unavailable", in good time and by itself, where nothing reaches the device',
    withFault('deaf', async (stand, { stepMs }) => {
      const { port } = await reach(stand)
      await stand.device.wire.spoil('deaf')
      await within(
        stepMs,
        'a word',
        refused('a word that nobody hears', unavailable, () => stand.words.ask(port, contextOf())),
      )
      await within(
        stepMs,
        'connect()',
        refused('connect() that nobody hears', unavailable, () => reach(stand)),
      )
      await stand.device.wire.mend()
      await serves('once the device hears again', stand, stepMs)
    }),
  ),
  rule(
    'mute',
    'says "unavailable" where the answer of the device is lost, and finds out what was done when it asks again',
    withFault('mute', async (stand, { stepMs }) => {
      const { words: said, device } = stand
      const { port } = await reach(stand)
      await said.exchange(port, device, contextOf())
      await device.wire.spoil('mute')
      const what = 'a change whose answer is lost'
      await within(
        stepMs,
        what,
        refused(what, unavailable, () => said.change(port, device, contextOf())),
      )
      await device.wire.mend()
      await serves('once the device is heard again', stand, stepMs, 1)
    }),
  ),
  rule(
    'abort-during',
    'lets a caller go at once who leaves while the device does not answer',
    withFault('deaf', async (stand, { stepMs }) => {
      const { words: said, device } = stand
      const { port } = await reach(stand)
      for (const name of Object.keys(said.each(port, device, contextOf()))) {
        // A word that needs another before it is refused at once without that one, and does not wait.
        await device.wire.mend()
        await said.change(port, device, contextOf())
        const controller = new AbortController()
        const waiting = await unanswered(stand, 'deaf', async () => said.each(port, device, contextOf(controller.signal))[name]?.())
        controller.abort()
        await within(
          stepMs / 8,
          name,
          refused(`${name} whose caller has left`, { fault: 'aborted' }, () => waiting.call),
        )
      }
      const controller = new AbortController()
      const waiting = await unanswered(stand, 'deaf', async () => {
        const { port: late } = await stand.connect({ signal: controller.signal })
        await said.ask(late, contextOf(controller.signal))
      })
      controller.abort()
      await within(
        stepMs / 8,
        'connect',
        refused('connect whose caller has left', { fault: 'aborted' }, () => waiting.call),
      )
      await device.wire.mend()
      await serves('after callers who have left', stand, stepMs)
    }),
  ),
  rule(
    'dispose-busy',
    'ends a connection on which a word waits for its answer, and that word with it',
    withFault('deaf', async (stand, { stepMs }) => {
      const connection = await reach(stand)
      const waiting = await unanswered(stand, 'deaf', () => stand.words.ask(connection.port, contextOf()))
      await within(stepMs / 8, 'the end of the connection', connection[Symbol.asyncDispose]())
      await within(
        stepMs / 8,
        'the word that waited',
        refused('the word that waited', { fault: ['unavailable', 'aborted', 'invalid'] }, () => waiting.call),
      )
    }),
  ),
  rule(
    'slow',
    'carries an exchange over a wire that is slow',
    withFault('slow', (stand, { stepMs }) => spoiled(stand, 'slow', 2 * stepMs, true)),
  ),
  rule(
    'duplicate',
    'carries an exchange over a wire on which every message comes twice',
    withFault('duplicate', (stand, { stepMs }) => spoiled(stand, 'duplicate', stepMs, true)),
  ),
  rule(
    'stale',
    'carries an exchange over a wire on which every message comes again behind the next one',
    withFault('stale', (stand, { stepMs }) => spoiled(stand, 'stale', stepMs, true)),
  ),
  ...(['flip', 'truncate'] as const).map((fault) =>
    rule(
      fault,
      `lets no damaged message pass for a good one (${fault === 'flip' ? 'one bit is another' : 'its end is missing'})`,
      withFault(fault, (stand, { stepMs }) => spoiled(stand, fault, stepMs, false)),
    ),
  ),
  rule('next-to-cut', 'goes on with other devices where the line to one is cut', async (stand, { stepMs }) => {
    const other = await stand.another()
    const [broken, whole] = [await reach(stand), await reach(other)]
    ok(broken.port !== whole.port, 'expected a port for each device, found one for both')
    await stand.device.wire.cut()
    await survives('a word on the line that is cut', unavailable, () => stand.words.ask(broken.port, contextOf()))
    await within(stepMs, 'an exchange with the other', other.words.exchange(whole.port, other.device, contextOf(), 1))
    await other.words.arrived('beside a line that is cut', other.device, 1)
  }),
]
