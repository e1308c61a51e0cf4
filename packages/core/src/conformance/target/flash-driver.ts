import { deepStrictEqual, ok } from 'node:assert/strict'
import type { FlashPort } from '../../plugin/ports.ts'
import { everyCut } from '../../testing/every-cut.ts'
import type { CutMode } from '../../testing/torn-flash.ts'
import { contextOf } from '../content.ts'
import { otaError } from '../refusal.ts'
import type { TargetInstance, TargetRule } from '../target-suite.ts'
import { declines, driverRules, isDelivered, isInstalled, runs, type Stand, updateWhole } from './bench.ts'
import type { Interfere } from './spied-port.ts'

/** Enough to see the order of writes; `everyCut` in the plugin's own tests has the others. */
const modes: readonly CutMode[] = ['before', 'after', 'half-programmed', 'partly-erased']

/** What a write through a bad line stores. */
const faults: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array | undefined>> = {
  'is lost': () => undefined,
  'lacks its last byte': (bytes) => bytes.subarray(0, -1),
  'clears one bit too many': (bytes) => {
    const copy = bytes.slice()
    const at = copy.findIndex((byte) => byte !== 0)
    if (at >= 0) copy[at] = (copy[at] as number) & ((copy[at] as number) - 1)
    return copy
  },
}

async function writesOf(stand: Stand, step: 'deliver' | 'install'): Promise<number> {
  const spied = stand.spied()
  await stand[step]({ port: spied.port })
  return spied.calls.filter(({ method }) => method === 'write').length
}

/** One write of a step goes wrong, and is acknowledged as if it had not. */
function spoiling(port: FlashPort, at: number, spoil: (bytes: Uint8Array) => Uint8Array | undefined): Interfere {
  let writes = 0
  return async ({ method, args }, make) => {
    if (method !== 'write') return make()
    writes += 1
    if (writes !== at) return make()
    const bytes = spoil(args[1] as Uint8Array)
    if (bytes !== undefined) await port.write(args[0] as number, bytes, contextOf())
    return undefined
  }
}

const rule = driverRules('flash')
const flashOf = ({ bench }: Stand): FlashPort => bench.port as FlashPort
const twoSlots = { what: 'two slots', has: ({ plugin }: TargetInstance) => plugin.supports.slots === 2 }

/** What raw flash asks of a driver. */
export const flashRules: readonly TargetRule[] = [
  rule('erased-first', 'writes only where it has erased, in whole calls that the port can do', async (stand) => {
    const flash = flashOf(stand)
    const spied = stand.spied(async ({ method, args }, make) => {
      const [offset, what] = args as [number, Uint8Array | number]
      if (method === 'write') {
        const bytes = what as Uint8Array
        const old = await flash.read(offset, bytes.length, contextOf())
        const wrong = bytes.findIndex((byte, index) => ((old[index] as number) & byte) !== byte)
        ok(wrong < 0, `write of ${bytes.length} bytes at ${offset}: expected erased flash, found that byte ${wrong} cannot be set`)
      }
      if (method === 'erase' || method === 'read')
        ok(Number.isInteger(what) && (what as number) > 0, `${method}: expected a length, found ${String(what)}`)
      if (method !== 'reset') ok(Number.isInteger(offset) && offset >= 0, `${method}: expected an offset, found ${String(offset)}`)
      return make()
    })
    await stand.deliver({ port: spied.port })
    await stand.install({ port: spied.port })
    await runs('after an update', stand, 'good')
  }),
  rule('context-passed', 'passes its signal on to every call that may be cut', async (stand) => {
    const controller = new AbortController()
    const spied = stand.spied()
    await stand.deliver({ port: spied.port, signal: controller.signal })
    for (const { method, args } of spied.calls) {
      const context = args.at(-1) as { readonly signal?: unknown; readonly now?: unknown }
      ok(context?.signal instanceof AbortSignal && context.now instanceof Date, `${method}: expected the context as its last argument`)
    }
    ok(
      spied.calls.some(({ args }) => (args.at(-1) as { signal: AbortSignal }).signal === controller.signal),
      'expected the signal of the caller',
    )
  }),
  rule('bad-write', 'sees a write that went wrong though it was acknowledged', async (first, _instance, { stand }) => {
    const writes = await writesOf(first, 'deliver')
    ok(writes > 0, 'deliver: expected that it writes')
    for (const [fault, spoil] of Object.entries(faults)) {
      for (let at = 1; at <= writes; at++) {
        const one = await stand()
        const { port } = one.spied(spoiling(flashOf(one), at, spoil))
        const what = `write ${at} of ${writes}, which ${fault}`
        const seen = await declines(
          what,
          () => one.deliver({ port }),
          (observed) => isDelivered(observed, one.image),
        )
        ok(seen, `${what}: expected that the delivery is not said to be whole: read it back`)
        await runs(what, one, 'old')
        await updateWhole(`${what}, and the next attempt`, one)
      }
    }
  }),
  rule('bad-switch', 'sees a switch that went wrong though it was acknowledged', async (first, _instance, { stand }) => {
    await first.deliver()
    const writes = await writesOf(first, 'install')
    for (let at = 1; at <= writes; at++) {
      const one = await stand()
      await one.deliver()
      const { port } = one.spied(spoiling(flashOf(one), at, () => undefined))
      const what = `write ${at} of ${writes}, which is lost`
      const seen = await declines(
        what,
        () => one.install({ port }),
        (observed) => isInstalled(observed, one.image),
      )
      ok(seen || (await one.bench.runs()) === 'good', `${what}: expected that the installation is not said to be done`)
      await updateWhole(`${what}, and the next attempt`, one)
    }
  }),
  rule('short-read', 'takes no short answer for a whole one', async (stand) => {
    for (const keep of [0, 1, -1]) {
      let isCut = false
      const { port } = stand.spied(async ({ method }, make) => {
        const answer = await make()
        if (method !== 'read' || isCut) return answer
        isCut = true
        return (answer as Uint8Array).subarray(0, keep)
      })
      const outcome: unknown = await stand.probe({ port }).catch((error: unknown) => error)
      if (outcome instanceof Error) otaError('probe', outcome, { fault: ['unavailable', 'invalid', 'rejected'] })
      ok(outcome instanceof Error, `a read that gives ${keep} bytes: expected that it is refused, found an answer`)
    }
  }),
  rule(
    'power-cuts',
    'leaves a device that boots wherever its power is cut, and the next attempt succeeds',
    async (_stand, _instance, { stand }) => {
      const { failures } = await everyCut<Stand>({
        modes,
        start: stand,
        async run(one, power) {
          const port = power.port(flashOf(one))
          await one.deliver({ port })
          await one.install({ port })
        },
        async check(one) {
          const found = await one.bench.boot()
          ok(found !== 'other', 'expected that the device starts one of the two images')
          return found !== 'none'
        },
        again: (one) => updateWhole('the next attempt', one),
      })
      deepStrictEqual(
        failures.map(({ cut, operation, message }) => `${JSON.stringify({ ...cut, ...operation })}: ${message}`).slice(0, 5),
        [],
      )
    },
    twoSlots,
  ),
]
