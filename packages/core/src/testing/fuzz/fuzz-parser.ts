import { crc32 } from '../../content/crc32.ts'
import { type Fault, isOtaError, type OtaError } from '../../errors.ts'
import { type SeededRandom, seededRandom, seedOf } from './seeded-random.ts'

/** Changes an input a little and returns the changed copy; `other` is another input of the corpus, to take parts from. */
export type Mutation<I> = (input: I, random: SeededRandom, other: I) => I

/** One parser, what it reads, and how it may refuse. */
export interface FuzzedParser<I, R = unknown> {
  readonly name: string
  /** Valid inputs: each is read without an error before anything is changed. */
  readonly corpus: readonly I[]
  /** Further inputs to start from that need not be valid. */
  readonly hostile?: readonly I[]
  /** Each input has one to three of them applied, drawn evenly: list one again to have it more often. */
  readonly mutations: readonly Mutation<I>[]
  /** Makes checksums, digests or signatures right again, so that a change is seen behind them; half of the inputs go through it. */
  readonly seal?: (input: I, random: SeededRandom) => I
  /** Reads one input, and may answer with a promise. */
  readonly parse: (input: I) => R | Promise<R>
  /** Every code that it may throw or report, each with its fault. Another code, another fault and a code that never came are failures. */
  readonly codes: Readonly<Record<string, Fault>>
  /** Codes that a result holds as data, for parsers that report what is wrong. */
  readonly codesOf?: (result: R) => Iterable<string>
  /** Throws where a result is not what this input, accepted, must give. */
  readonly holds?: (result: R, input: I) => void
  /** Milliseconds that one input may take; 250 where absent. */
  readonly limitMs?: number
}

export interface FuzzOptions {
  /** How many inputs are made; 10,000 where absent. */
  readonly inputs?: number
  /** REFLASH_SEED of the environment where absent, else 1. */
  readonly seed?: number
  /** The first input's number, to make one again alone; 0 where absent. */
  readonly from?: number
}

/** What a run has seen. */
export interface FuzzReport {
  readonly name: string
  readonly inputs: number
  readonly seed: number
  /** Inputs that were read without a code. */
  readonly accepted: number
  /** How often each code came. */
  readonly codes: Readonly<Record<string, number>>
  readonly seconds: number
  /** Milliseconds of the slowest input. */
  readonly slowestMs: number
}

/** A declared parser, ready to be run. */
export interface ParserFuzz {
  readonly name: string
  readonly codes: readonly string[]
  /** Rejects at the first input that breaks a rule, naming seed and input, and at the end where a code never came. */
  run(options?: FuzzOptions): Promise<FuzzReport>
}

const defaultInputs = 10_000
/** One input may take this long: a server reads thousands in a second, and what takes longer is an attack. */
const defaultLimitMs = 250
/** Characters: a message is for a log line, and must not carry a hostile input into it whole. */
const messageLimit = 16_384
/** The resident memory of a process may grow by this during one run: garbage between two collections, and never an input's claim. */
const memoryGrowthLimitBytes = 768 * 1024 * 1024
/** Inputs between two turns of the event loop, in which runners do their work. */
const inputsPerTurn = 512
const shownLength = 2000

/**
 * Declares how a parser is tried with hostile input. `run` makes seeded mutations of the corpus and holds that nothing escapes but `OtaError` with a
 * declared code and its fault, in bounded time and memory, with a message of one line, and that every declared code came.
 * @example
 * const image = fuzzParser({
 *   name: 'image of a board',
 *   corpus: [buildImage('1.0.0'), buildImage('2.0.0')],
 *   mutations: [mutateBytes, mutateField(4, 4)],
 *   seal: withChecksum,
 *   parse: parseImage,
 *   codes: { IMAGE_TRUNCATED: 'invalid', IMAGE_CHECKSUM: 'invalid' },
 * })
 * it('is refused with a code, whatever it holds', () => image.run({ inputs: 10_000 }))
 */
export function fuzzParser<I, R>(parser: FuzzedParser<I, R>): ParserFuzz {
  return Object.freeze({ name: parser.name, codes: Object.keys(parser.codes), run: (options?: FuzzOptions) => runFuzz(parser, options) })
}

async function runFuzz<I, R>(
  parser: FuzzedParser<I, R>,
  { inputs = defaultInputs, seed = environmentSeed(), from = 0 }: FuzzOptions = {},
): Promise<FuzzReport> {
  const { name, codes, limitMs = defaultLimitMs } = parser
  const counts: Record<string, number> = Object.fromEntries(Object.keys(codes).map((code) => [code, 0]))
  await expectCorpus(parser)
  const before = printsOf(parser)
  const start = performance.now()
  const memory = peakBytes()
  let accepted = 0
  let slowestMs = 0
  for (let number = from; number < from + inputs; number++) {
    const input = inputOf(parser, seed, number)
    try {
      const begin = performance.now()
      const outcome = outcomeOf(parser, input)
      const { found, ms } = await timed(outcome instanceof Promise ? await outcome : outcome, begin, limitMs, () =>
        outcomeOf(parser, input),
      )
      slowestMs = Math.max(slowestMs, ms)
      if (found.length === 0) accepted += 1
      for (const code of found) counts[code] = (counts[code] as number) + 1
    } catch (error) {
      throw broken(name, seed, number, input, error)
    }
    if (number % inputsPerTurn === 0) await nextTurn()
  }
  const seconds = (performance.now() - start) / 1000
  const grown = peakBytes() - memory
  const run = `${name}, ${inputs} inputs of seed ${seed}`
  if (grown > memoryGrowthLimitBytes)
    throw new Error(`${run}: expected bounded memory, found a peak ${Math.round(grown / 2 ** 20)} MiB higher`)
  const polluted = Object.keys(Object.prototype)
  if (polluted.length > 0) throw new Error(`${run}: expected Object.prototype to be left alone, found ${polluted.join(', ')} on it`)
  const changed = printsOf(parser).findIndex((print, index) => print !== before[index])
  if (changed !== -1) throw new Error(`${run}: expected mutations to change copies, found that they changed input ${changed} of the corpus`)
  const missing = Object.keys(codes).filter((code) => counts[code] === 0)
  if (missing.length > 0) throw new Error(`${run}: expected every code, never found ${missing.join(', ')}; came: ${JSON.stringify(counts)}`)
  return { name, inputs, seed, accepted, codes: counts, seconds, slowestMs }
}

/** The same input for the same seed and number, whatever was made before. */
function inputOf<I, R>({ corpus, hostile = [], mutations, seal }: FuzzedParser<I, R>, seed: number, number: number): I {
  const random = seededRandom(seedOf(seed, number))
  const all = hostile.length === 0 ? corpus : [...corpus, ...hostile]
  let input = random.pick(all)
  // One change reaches deepest; more of them meet what one alone cannot.
  for (let changes = random.once(3) ? 2 + random.below(2) : 1; changes > 0; changes--) {
    input = random.pick(mutations)(input, random, random.pick(all))
  }
  return seal !== undefined && random.once(2) ? seal(input, random) : input
}

type Found = readonly string[]

function outcomeOf<I, R>(parser: FuzzedParser<I, R>, input: I): Found | Promise<Found> {
  const accept = (result: R): Found => {
    parser.holds?.(result, input)
    if (parser.codesOf === undefined) return []
    const found = [...parser.codesOf(result)]
    const foreign = found.find((code) => !Object.hasOwn(parser.codes, code))
    if (foreign !== undefined) throw new Error(`expected one of ${Object.keys(parser.codes).join(', ')}, found ${foreign} in the result`)
    return found
  }
  let result: R | Promise<R>
  try {
    result = parser.parse(input)
  } catch (error) {
    return refusal(parser.codes, error)
  }
  return result instanceof Promise ? result.then(accept, (error: unknown) => refusal(parser.codes, error)) : accept(result)
}

function refusal(codes: Readonly<Record<string, Fault>>, error: unknown): Found {
  if (!isOtaError(error)) throw new Error(`expected OtaError, found that ${String(error)} escapes`, { cause: error })
  const fault = Object.hasOwn(codes, error.code) ? codes[error.code] : undefined
  if (fault !== error.fault) {
    throw new Error(
      `expected ${fault === undefined ? 'one of the declared codes' : `fault ${fault}`}, found ${error.code} (${error.fault})`,
      {
        cause: error,
      },
    )
  }
  expectMessages(error)
  return [error.code]
}

function expectMessages({ message, because }: OtaError): void {
  for (const text of [message, ...because.map((reason) => reason.message)]) {
    if (text.length > messageLimit) throw new Error(`expected a message of at most ${messageLimit} characters, found ${text.length}`)
    // A line break or an escape sequence of a stranger would write lines of its own into logs and terminals.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for here
    if (/[\u0000-\u001f]/.test(text))
      throw new Error(`expected a message of one line, found control characters in ${JSON.stringify(text.slice(0, 500))}`)
  }
}

// Other work of the machine is not the parser's: what takes too long is tried twice more, by the CPU time of this process, and the least counts.
async function timed(
  found: Found,
  begin: number,
  limitMs: number,
  again: () => Found | Promise<Found>,
): Promise<{ found: Found; ms: number }> {
  let ms = performance.now() - begin
  for (let tries = 0; ms > limitMs && tries < 2; tries++) {
    const start = process.cpuUsage()
    await again()
    const { user, system } = process.cpuUsage(start)
    ms = Math.min(ms, (user + system) / 1000)
  }
  if (ms > limitMs) throw new Error(`expected at most ${limitMs} ms, found ${ms.toFixed(0)} ms`)
  return { found, ms }
}

async function expectCorpus<I, R>(parser: FuzzedParser<I, R>): Promise<void> {
  for (const [index, input] of parser.corpus.entries()) {
    let why: unknown
    try {
      const result = await parser.parse(input)
      parser.holds?.(result, input)
      const found = [...(parser.codesOf?.(result) ?? [])]
      if (found.length === 0) continue
      why = found.join(', ')
    } catch (error) {
      why = error
    }
    throw new Error(
      `${parser.name}: expected valid input ${index} of the corpus to be read, found ${String(why)}; input: ${shown(input)}`,
      { cause: why },
    )
  }
}

/** What each input is now: one that was changed makes every later input another than its number alone gives. */
function printsOf<I, R>({ corpus, hostile = [] }: FuzzedParser<I, R>): readonly string[] {
  return [...corpus, ...hostile].map((input) => {
    try {
      return JSON.stringify(input, printedValue) ?? String(input)
    } catch {
      // A cycle, a bigint, or deeper than the stack: whether it changes is not seen.
      return ''
    }
  })
}

function printedValue(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const found = this[key]
  return found instanceof Uint8Array ? `${found.length} ${crc32(found)}` : value
}

function broken(name: string, seed: number, number: number, input: unknown, error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error)
  return new Error(`${name}: ${why}; seed ${seed}, input ${number} (run({ seed: ${seed}, from: ${number}, inputs: 1 })): ${shown(input)}`, {
    cause: error,
  })
}

function shown(input: unknown): string {
  let text: string
  try {
    text = JSON.stringify(input, shownValue) ?? String(input)
  } catch {
    // A cycle, a bigint, or deeper than the stack.
    text = Object.prototype.toString.call(input)
  }
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text
}

// From its holder: a Buffer has made an array of itself before a replacer is asked.
function shownValue(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const found = this[key]
  return found instanceof Uint8Array ? hexOf(found) : value
}

function hexOf(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, shownLength / 2), (byte) => byte.toString(16).padStart(2, '0'))
  return `${bytes.length} bytes ${shown.join('')}`
}

function environmentSeed(): number {
  const seed = Number(process.env.REFLASH_SEED ?? 1)
  if (!Number.isSafeInteger(seed)) throw new Error(`REFLASH_SEED: expected a whole number, found ${process.env.REFLASH_SEED}`)
  return seed
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
