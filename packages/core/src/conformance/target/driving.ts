import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { ByteStream } from '../../content/byte-stream.ts'
import { digestOf } from '../../content/digest.ts'
import type { ByteRange } from '../../plugin/cache.ts'
import { refusesFired, survives } from '../refusal.ts'
import { slowSource } from '../sources.ts'
import type { TargetInstance, TargetRule } from '../target-suite.ts'
import { nextTurn, within } from '../within.ts'
import { boots, driverRules, isConfirmed, isDelivered, isInstalled, type PortKind, runs, type Stand, updateWhole } from './bench.ts'
import { heldImage } from './held-image.ts'
import { changing } from './spied-port.ts'

const twoSlots = { what: 'two slots', has: ({ plugin }: TargetInstance) => plugin.supports.slots === 2 }
const canGoBack = { what: 'supports.rollback', has: ({ plugin }: TargetInstance) => plugin.supports.rollback }
const rollsBack = (kind: PortKind) => ({
  what: 'rollback()',
  has: ({ plugin }: TargetInstance) => plugin.drive?.[kind]?.rollback !== undefined,
})

async function keep({ bench }: Stand): Promise<void> {
  ok(bench.keep !== undefined, 'expected a bench with keep(), found none: the device can go back')
  await bench.keep()
}

/** An update without disturbance, step by step, and each step at the wrong time. */
export function drivingRules(kind: PortKind): readonly TargetRule[] {
  const rule = driverRules(kind)
  const changes = ({ calls }: ReturnType<Stand['spied']>): readonly string[] =>
    calls.map(({ method }) => method).filter((method) => changing[kind].includes(method))
  return [
    rule('probe', 'says which device it is and what it runs, and changes nothing', async (stand, { images }) => {
      const spied = stand.spied()
      const state = await stand.probe({ port: spied.port })
      strictEqual(state.id, stand.bench.port.deviceId, 'id')
      const { installed } = state
      ok(installed !== undefined, 'installed: expected what the device runs')
      ok(installed.digest === undefined || installed.digest === digestOf(images.old), 'installed.digest: expected that of the old image')
      ok(installed.state !== 'pending', 'installed.state: expected that the old image was kept')
      deepStrictEqual(await stand.probe({ port: spied.port }), state, 'expected the same at a second look')
      deepStrictEqual(changes(spied), [], 'expected nothing to be changed')
      await boots('after two looks', stand, 'old')
    }),
    rule('deliver', 'brings the whole image to the device', async (stand) => {
      const observed = await stand.deliver()
      ok(isDelivered(observed, stand.image), `expected an observation of the whole image, found ${JSON.stringify(observed)}`)
      await runs('after the delivery', stand, 'old')
    }),
    rule(
      'deliver-only',
      'switches nothing by a delivery: the device starts the old image',
      async (stand) => {
        await stand.deliver()
        await boots('after the delivery', stand, 'old')
      },
      twoSlots,
    ),
    rule('install', 'lets the device run the image that was delivered', async (stand) => {
      ok(isDelivered(await stand.deliver(), stand.image), 'expected that the image is delivered')
      const observed = await stand.install()
      ok(isInstalled(observed, stand.image), `expected an observation of the installed image, found ${JSON.stringify(observed)}`)
      await runs('after the installation', stand, 'good')
    }),
    rule('confirm', 'sees an image that was kept as confirmed, and changes nothing', async (stand) => {
      await updateWhole('an update', stand)
      await stand.bench.keep?.()
      const spied = stand.spied()
      const observed = await stand.confirm({ port: spied.port })
      ok(isConfirmed(observed, stand.image), `expected that the image is confirmed, found ${JSON.stringify(observed)}`)
      deepStrictEqual(changes(spied), [], 'expected nothing to be changed')
      await boots('after the update', stand, 'good')
    }),
    rule('confirm-early', 'does not see as confirmed what was not installed', async (stand) => {
      ok(!isConfirmed(await stand.confirm(), stand.image), 'before the delivery: expected that nothing is confirmed')
      await stand.deliver()
      ok(!isConfirmed(await stand.confirm(), stand.image), 'before the installation: expected that nothing is confirmed')
      await runs('before the installation', stand, 'old')
    }),
    rule(
      'confirm-pending',
      'does not see as confirmed what the device has not kept yet',
      async (stand, _instance, { stand: another }) => {
        await updateWhole('an update', stand)
        const observed = await stand.confirm()
        ok(!isConfirmed(observed, stand.image), `expected that the image waits for its self-test, found ${JSON.stringify(observed)}`)
        await keep(stand)
        ok(isConfirmed(await stand.confirm(), stand.image), 'expected that the image is confirmed once it was kept')
        // Another device: some keep an image by the looks that are taken at it.
        const other = await another()
        await updateWhole('an update of another device', other)
        const { installed } = await other.probe()
        ok(installed?.state !== 'confirmed', 'installed.state: expected an image that was not kept yet, found one that was')
      },
      canGoBack,
    ),
    rule(
      'confirm-fallback',
      'sees that the device went back, and does not see the image as confirmed',
      async (stand) => {
        await updateWhole('an update', stand)
        await boots('an image that was not kept', stand, 'old')
        const observed = await stand.confirm()
        ok(!isConfirmed(observed, stand.image), `expected that the image is not confirmed, found ${JSON.stringify(observed)}`)
        const { state } = observed.by === 'report' ? observed.report : { state: observed.by }
        ok(['failed', 'rolled-back', 'check-in'].includes(state), `expected that the failure is seen, found ${JSON.stringify(observed)}`)
        await updateWhole('a second attempt', stand)
      },
      canGoBack,
    ),
    rule('again', 'does each step again without harm, as after an answer that was lost', async (stand) => {
      ok(isDelivered(await stand.deliver(), stand.image), 'the first delivery')
      ok(isDelivered(await stand.deliver(), stand.image), 'the second delivery')
      ok(isInstalled(await stand.install(), stand.image), 'the first installation')
      ok(isInstalled(await stand.install(), stand.image), 'the second installation')
      await runs('after two installations', stand, 'good')
      await stand.bench.keep?.()
      ok(isConfirmed(await stand.confirm(), stand.image), 'the first look')
      ok(isConfirmed(await stand.confirm(), stand.image), 'the second look')
      await boots('after all that', stand, 'good')
    }),
    rule('chunks', 'delivers an image however it is cut into chunks', async (_stand, { images }, { stand }) => {
      for (const chunkBytes of [Math.ceil(images.good.length / 97), 1_021, images.good.length]) {
        const one = await stand()
        const image = heldImage(images.good, { chunkBytes })
        ok(isDelivered(await one.deliver({ image }), image), `chunks of ${chunkBytes} bytes: expected that the image is delivered`)
        await one.install()
        await runs(`chunks of ${chunkBytes} bytes`, one, 'good')
      }
    }),
    rule('slow-image', 'delivers an image that comes a little at a time, and at times nothing', async (stand, { images }, { stepMs }) => {
      const chunkBytes = Math.ceil(images.good.length / 50)
      const read = ({ offset = 0, length }: Partial<ByteRange> = {}): ByteStream =>
        slowSource(images.good.subarray(offset, length === undefined ? undefined : offset + length), chunkBytes).open()
      const image = heldImage(images.good, { read })
      ok(isDelivered(await within(stepMs, 'deliver', stand.deliver({ image })), image), 'expected that the image is delivered')
      await stand.install()
      await runs('a slow image', stand, 'good')
    }),
    rule('progress', 'tells of progress that never goes back nor beyond the whole', async (stand) => {
      const told: (readonly [number, number])[] = []
      await stand.deliver({ progress: (done, total) => void told.push([done, total]) })
      ok(told.length > 0, 'expected progress, for whoever waits at a slow line, found none')
      const back = told.filter(([done], index) => done < (told[index - 1]?.[0] ?? 0))
      // A read-back is a second pass over the same bytes.
      ok(back.length <= 1, `expected progress that goes back once at most, found ${back.length} times`)
      ok(
        told.every(([done, total]) => done >= 0 && done <= total),
        `expected progress within the whole, found ${JSON.stringify(told).slice(0, 200)}`,
      )
      strictEqual(new Set(told.map(([, total]) => total)).size <= 1, true, 'expected one total')
    }),
    rule(
      'rollback',
      'goes back to the old image, and does no harm where there is nothing to go back from',
      async (stand) => {
        await stand.rollback()
        await boots('a rollback of nothing', stand, 'old')
        await stand.deliver()
        await stand.rollback()
        await boots('a rollback of a delivery', stand, 'old')
        await updateWhole('an update after it', stand)
        await stand.rollback()
        await runs('a rollback', stand, 'old')
        await stand.rollback()
        await boots('two rollbacks', stand, 'old')
      },
      rollsBack(kind),
    ),
    rule('isolated', 'keeps two devices apart', async (stand, _instance, tools) => {
      const other = await tools.stand()
      await Promise.all([stand.deliver(), other.deliver()])
      await stand.install()
      await runs('the installed one', stand, 'good')
      await runs('the other one', other, 'old')
      await other.install()
      await runs('the other one', other, 'good')
    }),
    rule(
      'two-writers',
      'harms no device to which two deliver at once, and the next attempt succeeds',
      async (stand, _instance, { stepMs }) => {
        const any = { fault: ['unavailable', 'invalid', 'rejected', 'unsupported'] } as const
        const both = Promise.all([1, 2].map(() => survives('one of two deliveries', any, () => stand.deliver())))
        await within(stepMs, 'two deliveries', both)
        await runs('after two deliveries at once', stand, 'old')
        await updateWhole('the next attempt', stand)
      },
    ),
    rule('abort-after', 'does not undo what was done before its caller left', async (stand) => {
      const leaving = async <T>(step: (signal: AbortSignal) => Promise<T>): Promise<T> => {
        const controller = new AbortController()
        const observed = await step(controller.signal)
        controller.abort()
        await nextTurn()
        return observed
      }
      ok(isDelivered(await leaving((signal) => stand.deliver({ signal })), stand.image), 'expected that the image is delivered')
      ok(isInstalled(await leaving((signal) => stand.install({ signal })), stand.image), 'expected that the image is installed')
      await runs('after the caller left', stand, 'good')
      await stand.bench.keep?.()
      ok(isConfirmed(await leaving((signal) => stand.confirm({ signal })), stand.image), 'expected that the image is confirmed')
      await boots('after the caller left', stand, 'good')
    }),
    rule('abort-before', 'does nothing for a caller who has left', async (stand) => {
      const spied = stand.spied()
      const { port } = spied
      await refusesFired('probe', (signal) => stand.probe({ port, signal }))
      await refusesFired('deliver', (signal) => stand.deliver({ port, signal }))
      await stand.deliver()
      await refusesFired('install', (signal) => stand.install({ port, signal }))
      await refusesFired('confirm', (signal) => stand.confirm({ port, signal }))
      deepStrictEqual(changes(spied), [], 'expected nothing to be changed')
      await runs('after all that', stand, 'old')
      await stand.install()
      await runs('for the next caller', stand, 'good')
    }),
  ]
}
