import type { Json } from '../../content/json.ts'
import type { Mutation } from './fuzz-parser.ts'
import { mutateBytes } from './mutate-bytes.ts'
import { mutateText } from './mutate-text.ts'
import type { SeededRandom } from './seeded-random.ts'

/** Of every type, empty, at a limit, or a name that objects inherit. */
const odd: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  255,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e308,
  -1e308,
  5e-324,
  '',
  ' ',
  'x',
  '0',
  'null',
  '__proto__',
  'constructor',
  '\u0000',
  '\ud800',
  'sha256:',
  [],
  {},
  [[]],
  [null],
  { length: -1 },
  { toString: null },
]

const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', '', '0', 'x'] as const

/** Numbers of entries at and beyond which limits lie. */
const counts = [0, 2, 17, 51, 101, 1001] as const

type Holder = Record<string, Json>
type Place = readonly [holder: Holder, key: string]

const text = mutateText()

/**
 * Changes one place of a JSON document and leaves the rest as it was: the value is another, of another type, at a limit, nested, repeated, exchanged with
 * another place, or taken from another valid document; a member is missing, has another name, or is new.
 */
export const mutateJson: Mutation<Json> = (document, random, other) => {
  const places: Place[] = []
  const root: Holder = { root: document }
  root.root = copied(document, places)
  places.push([root, 'root'])
  // The root is as likely as any other place: replaced, it shows little.
  const place = random.pick(places)
  random.pick(ways)(place, random, places, other)
  return root.root ?? null
}

/** Changes JSON in bytes: one place of the document, then how it is written. What is no JSON is changed as bytes are. */
export const mutateJsonBytes: Mutation<Uint8Array> = (bytes, random, other) => {
  try {
    const document = JSON.parse(decoder.decode(bytes)) as Json
    return jsonBytes(random.once(8) ? document : mutateJson(document, random, JSON.parse(decoder.decode(other)) as Json), random)
  } catch {
    // Also what an earlier mutation has nested too deep for the stack.
    return mutateBytes(bytes, random, other)
  }
}

/**
 * Writes a document as the bytes that a parser gets. Most are plain; some have what no value holds: a member twice (once in other letters), numbers in
 * other spellings, white space, a byte order mark, something behind the end, an invalid token, depth, broken UTF-8.
 */
function jsonBytes(document: Json, random: SeededRandom): Uint8Array {
  const plain = JSON.stringify(document)
  if (!random.once(4)) return encoder.encode(plain)
  const written = encoder.encode(random.pick(spellings)(plain, random))
  return random.once(4) ? mutateBytes(written, random, written) : written
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

function copied(value: Json, places: Place[]): Json {
  if (typeof value !== 'object' || value === null) return value
  const copy = (Array.isArray(value) ? [] : {}) as Holder
  for (const [key, member] of Object.entries(value)) {
    put(copy, key, copied(member, places))
    places.push([copy, key])
  }
  return copy as Json
}

// Assigned, `__proto__` would be no member.
function put(holder: Holder, key: string, value: Json): void {
  if (key === '__proto__') Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
  else holder[key] = value
}

type Way = (place: Place, random: SeededRandom, places: readonly Place[], other: Json) => void

const ways: readonly Way[] = [
  // Weighted by repetition: another value tells most.
  ([holder, key], random) => put(holder, key, otherValue(holder[key], random)),
  ([holder, key], random) => put(holder, key, otherValue(holder[key], random)),
  ([holder, key], random) => put(holder, key, random.pick(odd)),
  ([holder, key], random) => put(holder, key, random.pick(odd)),
  ([holder, key]) => removed(holder, key),
  ([holder, key], random) => {
    if (Array.isArray(holder)) return
    const value = holder[key] as Json
    removed(holder, key)
    put(holder, random.once(2) ? random.pick(names) : text(key, random, key), value)
  },
  ([holder, key], random) => {
    const value = holder[key]
    const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Holder) : holder
    if (!Array.isArray(object)) put(object, random.once(2) ? random.pick(names) : `${key}x`, random.pick(odd))
  },
  ([holder, key], random) => put(holder, key, random.once(2) ? [holder[key] as Json] : { [random.pick(names)]: holder[key] as Json }),
  ([holder, key], random) => put(holder, key, nested(random)),
  ([holder, key], random, places) => {
    const [from, name] = random.pick(places)
    // Copies: a document that holds itself is no JSON.
    const [mine, theirs] = [structuredClone(holder[key] ?? null), structuredClone(from[name] ?? null)]
    put(holder, key, theirs)
    put(from, name, mine)
  },
  ([holder, key], random, _places, other) => {
    const theirs: Place[] = []
    copied(other, theirs)
    const same = theirs.filter(([, name]) => name === key)
    const [from, name] = same.length > 0 && !random.once(4) ? random.pick(same) : theirs.length > 0 ? random.pick(theirs) : [holder, key]
    put(holder, key, from[name] as Json)
  },
]

function otherValue(value: Json | undefined, random: SeededRandom): Json {
  if (typeof value === 'string') return text(value, random, value)
  if (typeof value === 'number')
    return random.pick([value + 1, value - 1, -value, value * 2, value / 3, value * 2 ** random.below(64), String(value)])
  if (typeof value === 'boolean') return random.pick<Json>([!value, String(value), Number(value)])
  if (!Array.isArray(value)) return random.pick(odd)
  const count = random.once(16) ? random.pick(counts) : random.below(4)
  return Array.from({ length: count }, (_, index) => (value[index % Math.max(1, value.length)] ?? null) as Json)
}

function nested(random: SeededRandom): Json {
  let value: Json = random.pick(odd)
  for (let depth = random.once(8) ? 100 : 1 + random.below(40); depth > 0; depth--) value = random.once(2) ? [value] : { a: value }
  return value
}

function removed(holder: Holder, key: string): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1)
  else delete holder[key]
}

type Spelling = (plain: string, random: SeededRandom) => string

const spellings: readonly Spelling[] = [
  doubled,
  doubled,
  (plain, random) =>
    atSome(plain, /[0-9]+/g, random, (digits) =>
      random.pick([`${digits}.0`, `${digits}e0`, `0${digits}`, `-${digits}`, '1e400', '-0', 'NaN']),
    ),
  (plain, random) =>
    atSome(plain, /[{}[\],:]/g, random, (sign) => random.pick([` ${sign}`, `${sign}\n`, `\ufeff${sign}`, `,${sign}`, '', `/**/${sign}`])),
  (plain, random) => atSome(plain, /[{}[\],:]/g, random, (sign) => (random.once(2) ? sign.repeat(2) : random.pick([...'{}[],:']))),
  (plain, random) => atSome(plain, /"/g, random, () => random.pick(['', "'", '\\"', '"\u0000', '"\\u0000', '"\\ud800', '"\\'])),
  (plain) => `\ufeff${plain}`,
  (plain, random) => plain + random.pick([' ', '\n', '\u0000', '{}', ',', plain, '//']),
  (plain, random) => plain.slice(0, random.below(plain.length + 1)),
  (plain, random) => {
    const depth = random.once(40) ? 50_000 : random.pick([7, 8, 9, 31, 32, 33, 500])
    const [open, close] = random.once(2) ? ['[', ']'] : ['{"a":', '}']
    return atSome(plain, /null|true|false|"[^"]*"(?!:)|[0-9]+|\{\}|\[\]/g, random, () => `${open.repeat(depth)}0${close.repeat(depth)}`)
  },
]

/** A member twice in one object: as it stands, or its name written with an escape. */
function doubled(plain: string, random: SeededRandom): string {
  return atSome(plain, /"(?:[^"\\]|\\.)+":/g, random, (member) => {
    const escaped = `"\\u${member.charCodeAt(1).toString(16).padStart(4, '0')}${member.slice(2)}`
    const again = random.once(2) || member[1] === '\\' ? member : escaped
    return `${again}${JSON.stringify(random.pick(odd))},${member}`
  })
}

function atSome(plain: string, pattern: RegExp, random: SeededRandom, change: (found: string) => string): string {
  const found = [...plain.matchAll(pattern)]
  if (found.length === 0) return plain
  const { 0: whole, index } = random.pick(found)
  return plain.slice(0, index) + change(whole) + plain.slice(index + whole.length)
}
