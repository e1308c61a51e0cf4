import { fail } from '../core-errors.ts'
import { type PowerSupply, powerSupply } from './power-cut.ts'
import { type Cut, type CutMode, cutModes, cutsOf, type FlashOperation } from './torn-flash.ts'

export interface EveryCutOptions<Board> {
  /** A board in the state before the run, always the same: with a flash of its own, and whatever `check` wants to know of the run. */
  start(): Board | Promise<Board>
  /** The run. It writes only through what `power` wraps, and does the same each time. */
  run(board: Board, power: PowerSupply): void | Promise<void>
  /** Powers the board on, with the boot model: false where nothing boots, an exception where what boots is not allowed at this cut. */
  check(board: Board, cut: Cut): boolean | Promise<boolean>
  /** The second attempt, on the board as it is after `check`; an exception where it does not end as it should. */
  again(board: Board, cut: Cut): void | Promise<void>
  /** All where absent. */
  readonly modes?: readonly CutMode[]
  /** One more draw of every random mode each; `[1]` where absent. */
  readonly seeds?: readonly number[]
  /** Erase block; 4096 bytes where absent. */
  readonly blockBytes?: number
}

export interface CutFailure {
  readonly cut: Cut
  readonly operation: FlashOperation
  readonly message: string
}

/** What came out of every cut of a run. */
export interface CutTable {
  /** Erases and writes of the run. */
  readonly operations: number
  readonly cuts: number
  /** Of them inside an operation. */
  readonly torn: number
  /** Cuts after which nothing boots. */
  readonly unbootable: number
  /** Every cut that did not end well, the unbootable included. */
  readonly failures: readonly CutFailure[]
}

/**
 * Cuts the power of a run at each of its erases and writes, and inside each, in every mode; after each cut asks the boot model, and tries again.
 * It throws nothing for what goes wrong after a cut: that is in `failures`.
 * @example
 * ```ts
 * import { strictEqual } from 'node:assert/strict'
 * import { everyCut, type SyncFlash } from '@reflash/core/testing'
 *
 * // A counter in two blocks of 16 bytes: the greater of those that are whole counts.
 * function counter(flash: SyncFlash) {
 *   const at = (block: number) => {
 *     const [value = 0, check = 0] = flash.read(block * 16, 2)
 *     return check === (value ^ 0x5a) ? value : 0
 *   }
 *   const value = () => Math.max(at(0), at(1))
 *   const increase = () => {
 *     const [block, next] = [at(0) > at(1) ? 1 : 0, value() + 1]
 *     flash.erase(block * 16, 16)
 *     flash.write(block * 16, Uint8Array.of(next, next ^ 0x5a))
 *   }
 *   return { value, increase }
 * }
 *
 * const flashOf = (bytes: Uint8Array): SyncFlash => ({
 *   read: (offset, length) => bytes.slice(offset, offset + length),
 *   erase: (offset, length) => void bytes.fill(0xff, offset, offset + length),
 *   write: (offset, part) => part.forEach((byte, index) => void ((bytes[offset + index] as number) &= byte)),
 * })
 *
 * const { failures } = await everyCut({
 *   start: () => flashOf(Uint8Array.of(4, 4 ^ 0x5a, ...new Array<number>(30).fill(0xff))),
 *   run: (flash, power) => counter(power.flash(flash)).increase(),
 *   check: (flash) => [4, 5].includes(counter(flash).value()),
 *   again: (flash) => {
 *     if (counter(flash).value() === 4) counter(flash).increase()
 *     strictEqual(counter(flash).value(), 5)
 *   },
 *   blockBytes: 16,
 * })
 * strictEqual(failures.length, 0)
 * ```
 * @throws `INVALID_OPTIONS` where the run writes nothing through its power, or a seed or `blockBytes` is no integer; what the run throws without a cut
 */
export async function everyCut<Board>(options: EveryCutOptions<Board>): Promise<CutTable> {
  const { modes = cutModes, seeds = [1], blockBytes = 4096 } = options
  expectOptions(seeds, blockBytes)
  const whole = powerSupply()
  await options.run(await options.start(), whole)
  if (whole.operations.length === 0) {
    throw fail('INVALID_OPTIONS', 'run: expected erases and writes through power.port() or power.flash(), found none')
  }
  const failures: CutFailure[] = []
  const count = { cuts: 0, torn: 0, unbootable: 0 }
  for (const [index, operation] of whole.operations.entries()) {
    for (const cut of cutsOf(operation, index, { modes, seeds, blockBytes })) {
      count.cuts++
      if (cut.mode !== 'before' && cut.mode !== 'after') count.torn++
      const { message, boots } = await oneCut(options, cut, operation)
      if (!boots) count.unbootable++
      if (message !== undefined) failures.push({ cut, operation, message })
    }
  }
  return { operations: whole.operations.length, ...count, failures }
}

async function oneCut<Board>(
  { start, run, check, again }: EveryCutOptions<Board>,
  cut: Cut,
  operation: FlashOperation,
): Promise<{ readonly message?: string; readonly boots: boolean }> {
  const board = await start()
  const power = powerSupply(cut)
  const ended = await failureOf(async () => await run(board, power))
  const cutAt = power.operations[cut.operation]
  if (!power.isOff || cutAt?.kind !== operation.kind || cutAt.offset !== operation.offset || cutAt.length !== operation.length) {
    return { boots: true, message: `the run is not the same each time: expected ${show(operation)}, found ${show(cutAt)}` }
  }
  // The exception itself does not matter, as nobody is left to see it; but a run that ends well after a cut believes what did not happen.
  if (ended === undefined) return { boots: true, message: 'the run ended well although its power went' }
  let boots = true
  const found = await failureOf(async () => {
    boots = await check(board, cut)
  })
  if (!boots) return { boots, message: 'nothing boots' }
  const failure = found ?? (await failureOf(async () => await again(board, cut)))
  return failure === undefined ? { boots } : { boots, message: failure }
}

async function failureOf(act: () => Promise<void>): Promise<string | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  }
}

function show(operation: FlashOperation | undefined): string {
  return operation === undefined ? 'nothing' : `${operation.kind} of ${operation.length} bytes at ${operation.offset}`
}

function expectOptions(seeds: readonly number[], blockBytes: number): void {
  const wrong = (name: string, expected: string, found: unknown): Error =>
    fail('INVALID_OPTIONS', `${name}: expected ${expected}, found ${String(found)}`)
  if (seeds.length === 0 || !seeds.every((seed) => Number.isInteger(seed))) throw wrong('seeds', 'at least one integer', seeds)
  if (!Number.isInteger(blockBytes) || blockBytes < 1) throw wrong('blockBytes', 'a positive integer', blockBytes)
}
