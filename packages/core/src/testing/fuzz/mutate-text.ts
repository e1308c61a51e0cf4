import type { Mutation } from './fuzz-parser.ts'
import type { SeededRandom } from './seeded-random.ts'

/** What separates, ends, escapes, or looks like something else. */
const signs = [
  ...' \t\r\n"\'\\/:;,.=@&?#%+-_*<>{}[]()|~^`$!0A',
  '\u0000',
  '\u001b[2J',
  '\u007f',
  '\u0085',
  '\u00a0',
  '\u00e9',
  'e\u0301',
  // Letters that some fold to ASCII: long s, dotless i, Kelvin; a full-width digit and dot; an Arabic digit.
  '\u017f',
  '\u0131',
  '\u212a',
  '\uff11',
  '\uff0e',
  '\u0661',
  // What cannot be seen: zero width space, right-to-left override, byte order mark, line separator.
  '\u200b',
  '\u202e',
  '\ufeff',
  '\u2028',
  '\ud800',
  '\udc00',
  '\u{1f512}',
  '%00',
  '%2f',
  '%2F',
  '%',
  '%zz',
  '%c3%28',
  '%e2%80%ae',
  '..',
  '../',
  '//',
  '\r\n',
  '--',
] as const

const numbers = [
  '0',
  '-1',
  '00',
  '1e9',
  '0x10',
  '65535',
  '65536',
  '2147483647',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '9'.repeat(40),
] as const

/** Lengths, in characters, at and beyond which limits lie. */
const lengths = [33, 65, 129, 257, 513, 1025, 2049, 4097, 16_385] as const

/**
 * Makes a mutation of text: signs and look-alikes put in, put over, or taken out; parts removed, doubled, swapped, cut, or spliced with another valid
 * input; other case, other numbers, great length. `words` are what the grammar at hand is made of: they are put in and over whole.
 */
export function mutateText(words: readonly string[] = []): Mutation<string> {
  const said = words.length === 0 ? signs : words
  return (text, random, other) => {
    const at = random.below(text.length + 1)
    const sign = random.pick(random.once(2) ? said : signs)
    switch (random.below(14)) {
      case 0:
      case 1:
        return text.slice(0, at) + sign + text.slice(at)
      case 2:
      case 3:
        return text.slice(0, at) + sign + text.slice(at + 1)
      case 4:
        return text.slice(0, at) + text.slice(at + 1 + random.below(random.once(2) ? 1 : 12))
      case 5:
        return text.slice(0, at)
      case 6:
        return text.slice(at)
      case 7:
        return random.once(2) ? text + text : text.slice(0, at) + text.slice(Math.max(0, at - 1 - random.below(16)))
      case 8:
        return text.slice(0, at) + other.slice(random.below(other.length + 1))
      case 9:
        return random.once(2) ? text.toUpperCase() : text.toLowerCase()
      case 10:
        return withOtherNumber(text, random)
      case 11:
        return sign + text
      case 12:
        return text + sign
      default:
        return lengthened(text, at, random)
    }
  }
}

function withOtherNumber(text: string, random: SeededRandom): string {
  const found = [...text.matchAll(/[0-9]+/g)]
  if (found.length === 0) return text + random.pick(numbers)
  const { 0: digits, index } = random.pick(found)
  return text.slice(0, index) + random.pick(numbers) + text.slice(index + digits.length)
}

// Long texts cost time, so they are rare; what is repeated is what stands there, so that the whole may stay in the grammar.
function lengthened(text: string, at: number, random: SeededRandom): string {
  const length = random.once(8) ? random.pick(lengths) : random.below(200)
  const from = Math.max(0, at - 1 - random.below(4))
  const piece = text.slice(from, Math.max(at, from + 1)) || 'a'
  return text.slice(0, at) + piece.repeat(Math.ceil(length / piece.length)) + text.slice(at)
}
