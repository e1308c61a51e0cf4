import { ok, strictEqual } from 'node:assert/strict'
import { type Damaged, damaged } from '../content.ts'
import { survives } from '../refusal.ts'
import type { TransportRule } from '../transport-suite.ts'
import { nextTurn, within } from '../within.ts'
import { carrying, type ServeStand, serveRule } from './serve-stand.ts'

/** How many clients stall at the same time. */
const stalled = 20

/** Bytes of a check-in that nobody needs. */
const hugeBytes = 4 * 1024 * 1024

/** Holds that the gateway has heard of nobody but one device. */
function onlyOf(what: string, stand: ServeStand, id: string): void {
  for (const { name, who } of stand.taken())
    strictEqual(who.deviceId, id, `${what}: expected that the gateway hears of ${id} alone, found ${name} of ${who.deviceId}`)
}

/** So many copies with one bit flipped, spread over the bytes. */
const flips = 60

function flipped(bytes: Uint8Array): readonly Damaged[] {
  const step = Math.max(1, Math.floor(bytes.length / flips))
  return Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) => {
    const [at, copy] = [index * step, bytes.slice()]
    copy[at] = (copy[at] as number) ^ (1 << (index % 8))
    return { name: `with a bit of byte ${at} flipped`, bytes: copy }
  })
}

/** Clients that no device would be. */
export const hostileRules: readonly TransportRule[] = [
  serveRule('raw', 'takes a check-in as bytes as they come, in one piece or in many', async (stand) => {
    const [device] = stand.devices
    const { bytes, send } = await stand.pull.raw(stand.address, device)
    ok(bytes.length > 0, 'raw(): expected the bytes of a check-in, found none')
    for (const pieceBytes of [bytes.length, 1, 7]) {
      await within(stand.stepMs, `a check-in in pieces of ${pieceBytes} bytes`, send(bytes, { pieceBytes }))
      const calls = stand.taken().filter(({ name }) => name === 'checkIn')
      strictEqual(calls.length, 1, `a check-in in pieces of ${pieceBytes} bytes: expected one at the gateway, found ${calls.length}`)
      strictEqual(calls[0]?.who.deviceId, device.id)
    }
  }),
  serveRule('damaged', 'lets a damaged check-in speak for nobody else, and serves on after each', async (stand) => {
    const [device, other] = stand.devices
    const { bytes, send } = await stand.pull.raw(stand.address, device)
    const wrong = [...damaged(bytes), ...flipped(bytes)]
    // All at once, because a server may wait a while for the rest of each that is cut.
    await Promise.all(wrong.map((one) => within(2 * stand.stepMs, `a check-in ${one.name}`, send(one.bytes))))
    onlyOf('damaged check-ins', stand, device.id)
    await stand.honest('after damaged check-ins', other)
  }),
  serveRule('stalled', 'serves others while many clients stop in the middle of a word', async (stand) => {
    const [device, other] = stand.devices
    const { bytes, hold } = await stand.pull.raw(stand.address, device)
    const leaving = await Promise.all(
      Array.from({ length: stalled }, (_, index) => hold(bytes.subarray(0, 1 + ((index * bytes.length) / stalled) * 0.9))),
    )
    const calls = stand.taken()
    strictEqual(calls.length, 0, `expected that nothing of half a check-in reaches the gateway, found ${calls.length} calls`)
    await stand.honest('beside clients that stall', other)
    for (const leave of leaving) await within(stand.stepMs, 'the end of a client that stalls', leave())
    await nextTurn(2)
    await stand.honest('after clients that have stalled and left', device)
  }),
  serveRule(
    'huge',
    'refuses a check-in that is far too large before it comes to the gateway',
    async (stand) => {
      const [device, other] = stand.devices
      const client = await stand.client(device)
      const huge = 'x'.repeat(hugeBytes)
      const said = stand.carries('attributes') ? { attributes: { huge } } : { model: huge }
      const what = `a check-in of ${hugeBytes} bytes`
      let isTaken = false
      await within(
        2 * stand.stepMs,
        what,
        survives(what, { fault: ['invalid', 'rejected', 'unavailable', 'unsupported'] }, async () => {
          await client.checkIn(said)
          isTaken = true
        }),
      )
      ok(!isTaken, `${what}: expected that it is refused, found that it was answered`)
      strictEqual(stand.taken().length, 0, `${what}: expected that the gateway hears nothing of it`)
      await client.close()
      await stand.honest('after it', other)
    },
    {
      what: '"attributes" or "model"',
      missing: 'its dialect carries neither attributes nor a model',
      has: (instance) => (['attributes', 'model'] as const).some((one) => carrying(one).has(instance, {})),
    },
  ),
  serveRule('attacks', 'survives what its own wire makes possible, and lets none of it come to the gateway', async (stand) => {
    const [device, other] = stand.devices
    const { attacks } = stand.pull
    ok(attacks.length > 0, 'pull.attacks: expected at least one, found none')
    for (const { name, run, reaches = false } of attacks) {
      const attack = run(stand.address, device)
      attack.catch(() => undefined)
      await stand.honest(`beside an attack: ${name}`, other)
      await within(2 * stand.stepMs, name, attack)
      const calls = stand.taken().filter(({ who }) => who.deviceId !== other.id)
      if (reaches) for (const { who } of calls) strictEqual(who.deviceId, device.id, `${name}: expected that it speaks for nobody else`)
      else
        strictEqual(
          calls.length,
          0,
          `${name}: expected that the gateway hears nothing of it, found ${calls.map((call) => call.name).join(', ')}`,
        )
    }
    await stand.honest('after all attacks', device)
  }),
]
