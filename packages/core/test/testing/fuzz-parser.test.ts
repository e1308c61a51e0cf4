import { type Json, OtaError } from '@reflash/core'
import { fuzzParser, mutateBytes, mutateField, mutateJson, mutateJsonBytes, mutateText, seededRandom } from '@reflash/core/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'

const refuse = (code: string, message = 'expected a good input, found another'): Error => new OtaError(code, 'invalid', message)

/** Two bytes, of which the second is the complement of the first; the first is at most 200. */
function parse(bytes: Uint8Array): number {
  if (bytes.length !== 2) throw refuse('LENGTH')
  const [value, check] = bytes as unknown as readonly [number, number]
  if (check !== (~value & 0xff)) throw refuse('CHECK')
  if (value > 200) throw refuse('VALUE')
  return value
}

const good = {
  name: 'two bytes',
  corpus: [Uint8Array.of(1, 0xfe), Uint8Array.of(100, 155)],
  mutations: [mutateBytes, mutateField(0, 1)],
  seal: (bytes: Uint8Array) =>
    bytes.length < 2 ? bytes : Uint8Array.of(bytes[0] as number, ~(bytes[0] as number) & 0xff, ...bytes.subarray(2)),
  parse,
  codes: { LENGTH: 'invalid', CHECK: 'invalid', VALUE: 'invalid' },
} as const

afterEach(() => void vi.unstubAllEnvs())

describe('fuzzParser', () => {
  test('counts every code of a parser that keeps the rules', async () => {
    const report = await fuzzParser(good).run({ inputs: 2000, seed: 3 })
    expect(report).toMatchObject({ name: 'two bytes', inputs: 2000, seed: 3 })
    const { LENGTH = 0, CHECK = 0, VALUE = 0 } = report.codes
    expect(Math.min(LENGTH, CHECK, VALUE)).toBeGreaterThan(10)
    expect(report.accepted + LENGTH + CHECK + VALUE).toBe(2000)
  })

  test.each<[string, object, RegExp]>([
    [
      'throws another error',
      {
        parse: (bytes: Uint8Array) => {
          if (bytes.length > 2) throw new RangeError('offset')
          return parse(bytes)
        },
      },
      /expected OtaError, found that RangeError: offset escapes; seed 3, input \d+ .*bytes/,
    ],
    [
      'rejects with another error',
      { parse: async (bytes: Uint8Array) => (bytes.length === 2 ? 0 : Promise.reject(new TypeError('x'))) },
      /TypeError: x escapes/,
    ],
    [
      'gives a code that is not declared',
      { codes: { LENGTH: 'invalid', CHECK: 'invalid' } },
      /expected one of the declared codes, found VALUE/,
    ],
    [
      'gives a code with another fault',
      { codes: { LENGTH: 'invalid', CHECK: 'rejected', VALUE: 'invalid' } },
      /expected fault rejected, found CHECK \(invalid\)/,
    ],
    ['never gives a declared code', { codes: { ...good.codes, NEVER: 'invalid' } }, /never found NEVER; came: \{"LENGTH":\d+/],
    [
      'gives a code that a prototype has',
      {
        parse: (bytes: Uint8Array) => {
          if (bytes.length !== 2) throw refuse('constructor')
        },
      },
      /found constructor \(invalid\)/,
    ],
    [
      'repeats line breaks of its input',
      {
        parse: (bytes: Uint8Array) => {
          if (bytes.length !== 2) throw refuse('LENGTH', 'found\nlevel=info all is well')
        },
      },
      /expected a message of one line/,
    ],
    [
      'repeats its input whole',
      {
        parse: (bytes: Uint8Array) => {
          if (bytes.length !== 2) throw refuse('LENGTH', 'x'.repeat(20_000))
        },
      },
      /expected a message of at most 16384 characters, found 20000/,
    ],
    [
      'takes too long',
      {
        limitMs: 5,
        parse: (bytes: Uint8Array) => {
          for (const end = performance.now() + (bytes.length === 2 ? 0 : 8); performance.now() < end; );
          return parse(bytes)
        },
      },
      /expected at most 5 ms, found \d+ ms/,
    ],
    ['reports a code that is not declared', { codesOf: (value: number) => (value > 100 ? ['LARGE'] : []) }, /found LARGE in the result/],
    [
      'accepts what does not hold',
      {
        holds: (value: number) => {
          if (value > 100) throw new Error('expected at most 100')
        },
      },
      /two bytes: expected at most 100; seed 3/,
    ],
    ['refuses its own corpus', { corpus: [Uint8Array.of(1, 2)] }, /expected valid input 0 of the corpus to be read, found .*2 bytes 0102/],
  ])('fails where a parser %s', async (_, change, message) => {
    await expect(fuzzParser({ ...good, ...change } as unknown as typeof good).run({ inputs: 2000, seed: 3 })).rejects.toThrow(message)
  })

  test('fails where a parser writes into Object.prototype', async () => {
    const merge = (into: Record<string, unknown>, from: Record<string, unknown>): void => {
      for (const key of Object.keys(from)) {
        if (typeof from[key] === 'object' && from[key] !== null) {
          into[key] ??= {}
          merge(into[key] as typeof into, from[key] as typeof from)
        } else into[key] = from[key]
      }
    }
    const careless = fuzzParser({
      name: 'merge',
      corpus: [{ a: { b: 1 } }] as Json[],
      mutations: [mutateJson],
      parse: (value) => {
        try {
          merge({}, { value } as never)
        } catch {
          // A prototype may be read-only.
        }
      },
      codes: {},
    })
    try {
      await expect(careless.run({ inputs: 5000, seed: 3 })).rejects.toThrow(/expected Object.prototype to be left alone, found /)
    } finally {
      for (const key of Object.keys(Object.prototype)) delete (Object.prototype as unknown as Record<string, unknown>)[key]
    }
  })

  test('makes the input of a number again, alone', async () => {
    const seen: string[] = []
    const spy = fuzzParser({ ...good, parse: (bytes) => seen.push(Buffer.from(bytes).toString('hex')), codes: {} })
    await spy.run({ inputs: 50, seed: 9 })
    const fifty = seen.splice(0).slice(good.corpus.length)
    await spy.run({ inputs: 1, seed: 9, from: 30 })
    expect(seen.slice(good.corpus.length)).toEqual([fifty[30]])
    expect(new Set(fifty).size).toBeGreaterThan(30)
  })

  test('fails where a mutation changes the corpus instead of a copy', async () => {
    const careless = fuzzParser({
      ...good,
      codes: {},
      corpus: [Uint8Array.of(1, 0xfe), Uint8Array.of(100, 155)],
      mutations: [(bytes: Uint8Array) => bytes.fill(2)],
      parse: () => 0,
    })
    await expect(careless.run({ inputs: 10, seed: 3 })).rejects.toThrow(
      /two bytes, 10 inputs of seed 3: expected mutations to change copies, found that they changed input [01] of the corpus/,
    )
  })

  test('takes its seed from REFLASH_SEED', async () => {
    vi.stubEnv('REFLASH_SEED', '77')
    expect(await fuzzParser(good).run({ inputs: 2000 })).toMatchObject({ seed: 77 })
    vi.stubEnv('REFLASH_SEED', 'soon')
    await expect(fuzzParser(good).run()).rejects.toThrow('REFLASH_SEED: expected a whole number, found soon')
  })
})

describe('mutations', () => {
  const bytesOf = (value: Json): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  const counted = Array.from({ length: 64 }, (_, index) => index)
  const document = { a: [1, 2, { b: 'text' }], c: { d: true } }

  // What files are read into is a Buffer, whose `slice` is no copy.
  test.each([
    ['a Uint8Array', Uint8Array.from(counted)],
    ['a Buffer', Buffer.from(counted)],
  ])('leave their input, %s, as it was', (_, bytes) => {
    const json = structuredClone(document)
    for (let seed = 0; seed < 2000; seed++) {
      mutateBytes(bytes, seededRandom(seed), bytes)
      mutateField(4, 4)(bytes, seededRandom(seed), bytes)
      mutateJson(json, seededRandom(seed), json)
    }
    expect([...bytes]).toEqual(counted)
    expect(json).toEqual(document)
  })

  test('leave a Buffer as it was, whose own slice() is no copy', () => {
    const [bytes, other] = [Buffer.from('a buffer of the corpus'), Buffer.from('and another one')]
    const mutations = [mutateBytes, mutateJsonBytes, mutateField(0, 4), mutateField(2, 1)]
    for (let seed = 0; seed < 2000; seed++) {
      const random = seededRandom(seed)
      // Two, as in a run: the second gets what the first has made.
      let input: Uint8Array = bytes
      for (let changes = 0; changes < 2; changes++) input = random.pick(mutations)(input, random, other)
    }
    expect([bytes.toString(), other.toString()]).toEqual(['a buffer of the corpus', 'and another one'])
  })

  test('change JSON so that most of it is still JSON, with the same members but one', () => {
    let readable = 0
    let members = 0
    for (let seed = 0; seed < 2000; seed++) {
      try {
        const read = JSON.parse(new TextDecoder().decode(mutateJsonBytes(bytesOf(document), seededRandom(seed), bytesOf({ e: 1 }))))
        readable += 1
        if (Object.keys(read ?? {}).join() === 'a,c') members += 1
      } catch {
        // Broken on purpose.
      }
    }
    expect(readable).toBeGreaterThan(1500)
    expect(members).toBeGreaterThan(800)
  })

  test('of empty inputs are inputs', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = seededRandom(seed)
      expect(mutateBytes(new Uint8Array(0), random, new Uint8Array(0))).toBeInstanceOf(Uint8Array)
      expect(mutateField(0, 4)(new Uint8Array(0), random, new Uint8Array(0))).toHaveLength(0)
      expect(mutateText()('', random, '')).toBeTypeOf('string')
      expect(mutateJson(null, random, null)).toBeDefined()
      expect(mutateJsonBytes(new Uint8Array(0), random, new Uint8Array(0))).toBeInstanceOf(Uint8Array)
    }
  })
})
