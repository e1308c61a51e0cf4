import type { FlashPort, RunContext } from '@reflash/core'
import { flashLayout } from '../support/flash-board.ts'
import { type FlashDriverOptions, flashBoardDriver } from '../support/flash-board-driver.ts'
import { rightFlashTarget } from '../support/right-plugins.ts'
import {
  type AnyDriver,
  brokenLineMutants,
  driverMutant,
  drivingMutants,
  portAround,
  portWith,
  through,
  wrongImageMutants,
} from './driver-mutants.ts'
import type { Mutant } from './mutant.ts'

const mutant = driverMutant('flash', rightFlashTarget)
/** The driver of the flash board that leaves out one of its steps. */
const leavingOut = (rule: string, wrong: string, options: Partial<FlashDriverOptions>): Mutant =>
  mutant(rule, wrong, () => flashBoardDriver(options) as unknown as AnyDriver)

const none: RunContext = { signal: new AbortController().signal, now: new Date(0) }

/** A port that clears both boot records and writes back the one that is to stay. */
function clearingBoth(given: object): FlashPort {
  const port = given as FlashPort
  const [first, second] = flashLayout.records
  return portWith(port, {
    erase: async (offset: number, length: number, context: RunContext) => {
      if (offset !== first && offset !== second) return port.erase(offset, length, context)
      const other = offset === first ? second : first
      const saved = await port.read(other, 64, context)
      await port.erase(first, flashLayout.blockBytes, context)
      await port.erase(second, flashLayout.blockBytes, context)
      await port.write(other, saved, context)
    },
  })
}

export const flashMutants: readonly Mutant[] = [
  ...drivingMutants(mutant),
  mutant('deliver-only', 'points the boot record at what it has delivered', ({ deliver, install }) => ({
    deliver: async (plan, image, port, context) => {
      const observed = await deliver(plan, image, port, context)
      await install(plan, portWith(port, { reset: async () => {} }), context).catch(() => undefined)
      return observed
    },
  })),
  mutant(
    'erased-first',
    'writes 0xFF over what it has written',
    through((port) => {
      const flash = port as FlashPort
      return portWith(flash, {
        write: async (offset: number, bytes: Uint8Array, context: RunContext) => {
          await flash.write(offset, bytes, context)
          await flash.write(offset, new Uint8Array(bytes.length).fill(0xff), context)
        },
      })
    }),
  ),
  mutant(
    'context-passed',
    'gives the port a signal of its own',
    through((port) =>
      portAround(port, (args, call) => {
        const last = args.at(-1) as Partial<RunContext> | undefined
        return call(last?.signal === undefined ? args : [...args.slice(0, -1), none])
      }),
    ),
  ),
  leavingOut('bad-write', 'does not read back what it has written', { readsBack: false }),
  leavingOut('bad-switch', 'does not read back the boot record', { checksRecord: false }),
  leavingOut('short-read', 'takes a short answer for a whole one', { counts: false }),
  mutant('power-cuts', 'clears both boot records before it writes the new one', through(clearingBoth)),
  leavingOut('resume', 'writes every block again', { resumes: false }),
  ...wrongImageMutants(mutant),
  ...brokenLineMutants(mutant, { passesOn: true }),
]
