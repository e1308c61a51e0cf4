/** What a run does to flash. Offset and length in bytes. */
export interface FlashOperation {
  readonly kind: 'erase' | 'write'
  readonly offset: number
  readonly length: number
}

/**
 * Where the power goes, and how far the operation came.
 *
 * | mode | operation | what stands in flash |
 * |---|---|---|
 * | `before` | both | what stood there |
 * | `after` | both | all of it; nothing after it |
 * | `torn` | write | the first `bytes`; behind them what stood there |
 * | `garbage` | write | the first `bytes`; behind them random bits cleared of what stood there |
 * | `half-programmed` | write | of the bits to be cleared a random `share` |
 * | `prefix-erased` | erase | the first `bytes` erased, not a whole number of blocks |
 * | `partly-erased` | erase | of the bytes a random `share` erased |
 * | `weakly-erased` | erase | of the bits to be set a random `share` |
 * | `between-blocks` | erase | the first `bytes` erased, a whole number of blocks, of several |
 */
export type CutMode = (typeof cutModes)[number]

/** Every mode. */
export const cutModes = [
  'before',
  'after',
  'torn',
  'garbage',
  'half-programmed',
  'prefix-erased',
  'partly-erased',
  'weakly-erased',
  'between-blocks',
] as const

/** One cut; plain data, so that a failure can be printed and seen again. */
export interface Cut {
  /** Which erase or write of the run, counted from 0. */
  readonly operation: number
  readonly mode: CutMode
  /** Bytes from the start that are done. */
  readonly bytes?: number
  /** Probability, 0 to 1, that a bit or a byte is done. */
  readonly share?: number
  readonly seed?: number
}

/**
 * The content that a cut leaves behind: between `old` and `whole`, which an operation left alone would leave. Writing only clears bits and
 * erasing only sets them, so that neither goes beyond the two except `garbage`.
 */
export function tornContent(old: Uint8Array, whole: Uint8Array, { mode, bytes = 0, share = 0.5, seed = 1, operation }: Cut): Uint8Array {
  const random = randomNumbers(Math.imul(seed, 0x9e37_79b1) ^ operation)
  const bits = (): number => {
    let mask = 0
    for (let bit = 1; bit < 0x100; bit <<= 1) if (random() < share) mask |= bit
    return mask
  }
  const byte = (): number => (random() < share ? 0xff : 0)
  const tear: Readonly<Record<CutMode, (before: number, after: number, done: boolean) => number>> = {
    before: (before) => before,
    after: (_, after) => after,
    torn: (before, after, done) => (done ? after : before),
    'prefix-erased': (before, after, done) => (done ? after : before),
    'between-blocks': (before, after, done) => (done ? after : before),
    garbage: (before, after, done) => (done ? after : before & (random() * 0x100)),
    'half-programmed': (before, after) => before ^ ((before ^ after) & bits()),
    'weakly-erased': (before, after) => before ^ ((before ^ after) & bits()),
    'partly-erased': (before, after) => before ^ ((before ^ after) & byte()),
  }
  return old.map((before, index) => tear[mode](before, whole[index] as number, index < bytes))
}

export interface CutChoice {
  readonly modes: readonly CutMode[]
  /** Each is one more draw of every random mode. */
  readonly seeds: readonly number[]
  /** Erase block, bytes. */
  readonly blockBytes: number
}

/** Rarely, evenly, and all but a few: stragglers are what single-bit checks miss. */
const shares = [1 / 16, 1 / 2, 15 / 16] as const

/** Every cut of one operation. */
export function cutsOf({ kind, length }: FlashOperation, operation: number, { modes, seeds, blockBytes }: CutChoice): readonly Cut[] {
  const drawn = (mode: CutMode): readonly Cut[] => seeds.flatMap((seed) => shares.map((share) => ({ operation, mode, share, seed })))
  const prefixes = (mode: CutMode, bytes: readonly number[]): readonly Cut[] => bytes.map((part) => ({ operation, mode, bytes: part }))
  const inside = prefixLengths(length)
  const blocks = Array.from({ length: Math.max(0, Math.ceil(length / blockBytes) - 1) }, (_, index) => (index + 1) * blockBytes)
  const byMode: Readonly<Record<CutMode, () => readonly Cut[]>> = {
    before: () => [{ operation, mode: 'before' }],
    after: () => [{ operation, mode: 'after' }],
    torn: () => prefixes('torn', inside),
    garbage: () =>
      seeds.flatMap((seed) => {
        const somewhere = Math.floor(randomNumbers(seed ^ operation)() * length)
        return [...new Set([0, somewhere])].map((bytes): Cut => ({ operation, mode: 'garbage', bytes, seed }))
      }),
    'half-programmed': () => drawn('half-programmed'),
    'prefix-erased': () =>
      prefixes(
        'prefix-erased',
        inside.filter((bytes) => bytes % blockBytes !== 0),
      ),
    'partly-erased': () => drawn('partly-erased'),
    'weakly-erased': () => drawn('weakly-erased'),
    'between-blocks': () => prefixes('between-blocks', blocks),
  }
  const possible = kind === 'write' ? writeModes : eraseModes
  return modes.filter((mode) => possible.includes(mode)).flatMap((mode) => byMode[mode]())
}

const writeModes: readonly CutMode[] = ['before', 'after', 'torn', 'garbage', 'half-programmed']
const eraseModes: readonly CutMode[] = ['before', 'after', 'prefix-erased', 'partly-erased', 'weakly-erased', 'between-blocks']

/** Up to here every byte is a place to cut: records, counters, entries of a boot table. */
const smallBytes = 64

/** Every byte of a small operation; of a larger one the powers of four, counted from both ends. */
function prefixLengths(length: number): readonly number[] {
  if (length <= smallBytes) return Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1)
  const powers = Array.from({ length: Math.ceil(Math.log2(length) / 2) }, (_, index) => 4 ** index)
  return [...new Set([...powers, ...powers.map((power) => length - power)])].sort((a, b) => a - b)
}

/** Numbers from 0 to 1, exclusive, always the same for a seed: mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), 1 | state)
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word
    return ((word ^ (word >>> 14)) >>> 0) / 4_294_967_296
  }
}
