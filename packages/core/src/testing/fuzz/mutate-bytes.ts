import type { Mutation } from './fuzz-parser.ts'
import type { SeededRandom } from './seeded-random.ts'

/** Bytes at which code that counts, shifts or compares goes wrong. */
const limits = [0, 1, 0x7f, 0x80, 0xfe, 0xff] as const
const wordLimits = [0, 1, 2, 0x7f, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff] as const

/**
 * Changes bytes without knowing what they mean: flipped bits, bytes and 32-bit words at their limits, a part removed, doubled, filled or moved, cut
 * off, continued, or spliced with another valid input.
 */
export const mutateBytes: Mutation<Uint8Array> = (bytes, random, other) => random.pick(ways)(bytes, random, other)

/**
 * Makes a mutation that writes one field: the limits of its size, its old value changed by little, or anything.
 * Little-endian unless `bigEndian`; an input that is too short for the field stays as it is.
 */
export function mutateField(offset: number, sizeBytes: 1 | 2 | 4, { bigEndian = false } = {}): Mutation<Uint8Array> {
  return (bytes, random) => {
    if (bytes.length < offset + sizeBytes) return bytes
    const copy = new Uint8Array(bytes)
    let old = 0
    for (let at = 0; at < sizeBytes; at++) old = old * 256 + (copy[offset + (bigEndian ? at : sizeBytes - 1 - at)] as number)
    const near = [old + 1, old - 1, old * 2, old + 1 + random.below(64)]
    let value = random.pick([random.pick(wordLimits), random.pick(near), random.below(2 ** (8 * sizeBytes)), random.below(64)])
    for (let at = 0; at < sizeBytes; at++) {
      copy[offset + (bigEndian ? sizeBytes - 1 - at : at)] = value & 0xff
      value = Math.floor(value / 256)
    }
    return copy
  }
}

const ways: readonly Mutation<Uint8Array>[] = [
  flipped,
  flipped,
  (bytes, random) => edited(bytes, (copy) => copy.set([random.pick(limits)], random.below(copy.length))),
  (bytes, random) => edited(bytes, (copy) => copy.set([random.below(256)], random.below(copy.length))),
  (bytes, random, other) =>
    bytes.length < 4
      ? other
      : mutateField(random.below(bytes.length - 3), random.pick([2, 4]), { bigEndian: random.once(2) })(bytes, random, other),
  // Cut off, mostly near an end.
  (bytes, random) => cut(bytes, 0, random.once(2) ? random.below(bytes.length + 1) : Math.max(0, bytes.length - 1 - random.below(8))),
  (bytes, random) => cut(bytes, random.once(2) ? random.below(bytes.length + 1) : 1 + random.below(4)),
  // Continued.
  (bytes, random) => joined(bytes, new Uint8Array(1 + random.below(random.once(16) ? 5000 : 40)).fill(random.pick(limits))),
  (bytes, _random, other) => joined(bytes, other),
  // A part removed, doubled, filled, or taken from another input.
  (bytes, random) => {
    const [from, to] = part(bytes, random)
    return joined(bytes.subarray(0, from), bytes.subarray(to))
  },
  (bytes, random) => {
    const [from, to] = part(bytes, random)
    return joined(bytes.subarray(0, to), bytes.subarray(from))
  },
  (bytes, random) => edited(bytes, (copy) => copy.fill(random.pick(limits), ...part(copy, random))),
  (bytes, random, other) => joined(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))),
  (bytes, random, other) => {
    const [from, to] = part(other, random)
    return edited(bytes, (copy) => copy.set(other.subarray(from, Math.min(to, copy.length)), Math.min(from, copy.length)))
  },
]

function flipped(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  return edited(bytes, (copy) => {
    const at = random.below(copy.length)
    copy[at] = (copy[at] as number) ^ (1 << random.below(8))
  })
}

function edited(bytes: Uint8Array, edit: (copy: Uint8Array) => void): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(0)
  const copy = new Uint8Array(bytes)
  edit(copy)
  return copy
}

// Not `slice`: of a Buffer, which is what files are read into, it would be no copy.
function cut(bytes: Uint8Array, from: number, to?: number): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to))
}

/** A part, short as a rule: long ones leave nothing that is worth reading. */
function part(bytes: Uint8Array, random: SeededRandom): [from: number, to: number] {
  const from = random.below(bytes.length)
  return [from, Math.min(bytes.length, from + 1 + random.below(random.once(4) ? bytes.length : 16))]
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
