import { ok, strictEqual } from 'node:assert/strict'
import { fail } from '../../core-errors.ts'
import { otaError, survives } from '../refusal.ts'
import type { TargetInstance, TargetRule } from '../target-suite.ts'
import { within } from '../within.ts'
import { driverRules, isDelivered, isInstalled, type PortKind, runs, type Stand, updateWhole } from './bench.ts'
import type { Interfere } from './spied-port.ts'

/** Calls of a run at which something happens: all, or so many spread over it, the first and the last among them. */
const places = 12

function spread(calls: number): readonly number[] {
  if (calls <= places) return Array.from({ length: calls }, (_, index) => index + 1)
  return [...new Set(Array.from({ length: places }, (_, index) => 1 + Math.round((index * (calls - 1)) / (places - 1))))]
}

type Step = 'deliver' | 'install' | 'confirm'

/** How many calls of the port a step makes, on a device that is ready for it. */
async function callsOf(step: Step, stand: Stand): Promise<number> {
  await readyFor(step, stand)
  const spied = stand.spied()
  await stand[step]({ port: spied.port })
  return spied.calls.length
}

async function readyFor(step: Step, stand: Stand): Promise<void> {
  if (step !== 'deliver') await stand.deliver()
  if (step === 'confirm') await stand.install()
}

/** The line breaks in place of a call, and stays broken. */
function breaksAt(at: number): { readonly interfere: Interfere; readonly failure: Error } {
  const failure = fail('DEVICE_SILENT', 'the line of the suite is broken')
  return { failure, interfere: (_call, make, number) => (number >= at ? Promise.reject(failure) : make()) }
}

const resumable = { what: 'supports.resume', has: ({ plugin }: TargetInstance) => plugin.supports.resume }

/** Lines that break, devices that hang, callers who leave in the middle. */
export function brokenLineRules(kind: PortKind): readonly TargetRule[] {
  const rule = driverRules(kind)
  return [
    rule(
      'line-breaks',
      'passes on what broke the line, at whatever call, and the next attempt succeeds',
      async (first, _instance, { stand }) => {
        for (const step of ['deliver', 'install', 'confirm'] as const) {
          const calls = await callsOf(step, step === 'deliver' ? first : await stand())
          ok(calls > 0, `${step}: expected that it asks the device, found no call of the port`)
          for (const at of spread(calls)) {
            const one = await stand()
            await readyFor(step, one)
            const { interfere, failure } = breaksAt(at)
            const outcome: unknown = await one[step]({ port: one.spied(interfere).port }).catch((error: unknown) => error)
            const what = `${step}, the line broken at call ${at} of ${calls}`
            const error = otaError(what, outcome, { fault: 'unavailable' })
            ok(error === failure || error.fault === 'unavailable', what)
            if (step === 'deliver') await runs(what, one, 'old')
            await updateWhole(`${what}, and the next attempt`, one)
          }
        }
      },
    ),
    rule(
      'abort-during',
      'ends when its caller leaves, at whatever call, and the next attempt succeeds',
      async (first, _instance, { stand, stepMs }) => {
        const calls = await callsOf('deliver', first)
        for (const at of spread(calls)) {
          const one = await stand()
          const controller = new AbortController()
          const { port } = one.spied((_call, make, number) => {
            if (number === at) controller.abort()
            return make()
          })
          const what = `deliver, its caller gone at call ${at} of ${calls}`
          const call = survives(what, { fault: 'aborted' }, () => one.deliver({ port, signal: controller.signal }))
          const observed = await within(stepMs, what, call)
          ok(observed === undefined || isDelivered(observed, one.image), `${what}: expected an end, found neither`)
          ok(observed === undefined || at > calls / 2, `${what}: expected that it is heeded in the first half of a delivery`)
          await runs(what, one, 'old')
          await updateWhole(`${what}, and the next attempt`, one)
        }
      },
    ),
    rule(
      'abort-install',
      'ends when its caller leaves: the device runs one of the two, and the next attempt succeeds',
      async (first, _instance, { stand, stepMs }) => {
        const calls = await callsOf('install', first)
        for (const at of spread(calls)) {
          const one = await stand()
          await one.deliver()
          const controller = new AbortController()
          const { port } = one.spied((_call, make, number) => {
            if (number === at) controller.abort()
            return make()
          })
          const what = `install, its caller gone at call ${at} of ${calls}`
          const call = survives(what, { fault: 'aborted' }, () => one.install({ port, signal: controller.signal }))
          const observed = await within(stepMs, what, call)
          if (observed !== undefined) {
            ok(isInstalled(observed, one.image), `${what}: expected that what is said to be installed is`)
            await runs(what, one, 'good')
          }
          await updateWhole(`${what}, and the next attempt`, one)
        }
      },
    ),
    rule(
      'resume',
      'goes on where a delivery broke, and sends no byte again that need not be',
      async (first, { images }, { stand }) => {
        const calls = await callsOf('deliver', first)
        const one = await stand()
        let written = 0
        let lastWrite = 0
        const counting =
          (stop: number): Interfere =>
          async (call, make, number) => {
            if (number >= stop) throw fail('DEVICE_SILENT', 'the line of the suite is broken')
            const result = await make()
            if (call.method === 'write') {
              written += (call.args[1] as Uint8Array).length
              lastWrite = number
            }
            return result
          }
        await first.deliver({ port: first.spied(counting(Number.POSITIVE_INFINITY)).port })
        const probe = await stand()
        await probe.deliver({ port: probe.spied(counting(Number.POSITIVE_INFINITY)).port })
        ok(lastWrite > 1 && lastWrite <= calls, 'expected an image that takes several calls')
        written = 0
        await one.deliver({ port: one.spied(counting(lastWrite)).port }).catch(() => undefined)
        const before = written
        ok(
          before > 0 && before < images.good.length,
          'images.good: expected an image that takes several writes: a longer one is needed here',
        )
        written = 0
        const observed = await one.deliver({ port: one.spied(counting(Number.POSITIVE_INFINITY)).port })
        ok(isDelivered(observed, one.image), 'expected that the image is delivered at last')
        ok(
          written < images.good.length,
          `expected that a part of ${images.good.length} bytes is not sent again, found ${written} bytes sent`,
        )
        await one.install()
        await runs('after a delivery in two parts', one, 'good')
      },
      resumable,
    ),
    rule('hang', 'leaves a device that does not answer when its caller leaves', async (_stand, _instance, { stand, stepMs }) => {
      const one = await stand()
      const controller = new AbortController()
      const { port } = one.spied((_call, make, number) => {
        if (number < 2) return make()
        controller.abort()
        // As a port does that heeds its signal: the driver must have passed it on.
        return Promise.reject(fail('ABORTED', 'the caller cancelled'))
      })
      const what = 'deliver to a device that does not answer'
      await within(
        stepMs,
        what,
        survives(what, { fault: 'aborted' }, () => one.deliver({ port, signal: controller.signal })),
      )
      strictEqual(await one.bench.runs(), 'old', what)
      await updateWhole(`${what}, and the next attempt`, one)
    }),
  ]
}
