import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  activeEntry,
  encodeOtadataEntry,
  type Otadata,
  type OtadataEntry,
  parseOtadataEntry,
  selectSlot,
  slotOfSequence,
} from '../../src/index.ts'
import { vector, vectorFolder } from '../support/vectors.ts'

const folder = vectorFolder()

const sequence = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 0xffff_ff00 }), fc.constant(0xffff_ffff))
const state = fc.constantFrom('new', 'pending-verify', 'valid', 'invalid', 'aborted', 'undefined')
const entry = fc.record({ sequence, state, crc: fc.boolean() }).map(
  (draft): OtadataEntry => ({
    sequence: draft.sequence,
    state: draft.state,
    selectable: draft.crc && draft.sequence !== 0xffff_ffff && draft.state !== 'invalid' && draft.state !== 'aborted',
  }),
)

describe('otadata entries', () => {
  // Computed by ESP-IDF's bootloader_common_ota_select_crc.
  it.each([
    [1, '4743989a'],
    [2, '55f63774'],
    [3, 'ed4a5011'],
    [4, '709d68a8'],
    [5, 'c8210fcd'],
    [6, 'da94a023'],
    [7, '6228c746'],
    [8, '3a4bd710'],
    [9, '82f7b075'],
    [10, '90421f9b'],
    [16, 'afe6a860'],
    [255, '21faf90e'],
    [0xffff_fffe, '99f8b879'],
  ])('with sequence %i have the CRC %s', (number, crc) => {
    const bytes = encodeOtadataEntry(number, 'undefined')
    expect(new DataView(bytes.buffer).getUint32(28, true).toString(16)).toBe(crc)
    expect(parseOtadataEntry(bytes)).toEqual({ sequence: number, state: 'undefined', selectable: true })
  })

  it('that are cut off are refused', () => {
    expect(() => parseOtadataEntry(encodeOtadataEntry(1, 'new').subarray(0, 31))).toThrow(
      expect.objectContaining({ code: 'OTADATA_INVALID', fault: 'invalid' }),
    )
  })

  it('are read back as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_fffe }), state, (number, which) => {
        const bytes = encodeOtadataEntry(number, which)
        expect(bytes.length).toBe(32)
        expect(parseOtadataEntry(bytes)).toEqual({ sequence: number, state: which, selectable: which !== 'invalid' && which !== 'aborted' })
      }),
      { seed: 4 },
    )
  })

  it('that are blank, invalid, aborted or have another CRC cannot be selected', () => {
    expect(parseOtadataEntry(new Uint8Array(32).fill(0xff)).selectable).toBe(false)
    for (const which of ['invalid', 'aborted'] as const) expect(parseOtadataEntry(encodeOtadataEntry(1, which)).selectable).toBe(false)
    for (let at = 0; at < 32; at++) {
      if (at >= 4 && at < 28) continue
      const bytes = encodeOtadataEntry(5, 'valid')
      bytes[at] = (bytes[at] as number) ^ 1
      expect(parseOtadataEntry(bytes).selectable).toBe(false)
    }
  })

  it.each([-1, 1.5, 0xffff_ffff, Number.NaN])('cannot be written with sequence %d', (number) => {
    expect(() => encodeOtadataEntry(number, 'new')).toThrow(expect.objectContaining({ code: 'BUILD_INVALID' }))
  })

  it.skipIf(folder === undefined)('of a real device are read', () => {
    const dump = vector(folder as string, 'wled/esp32-c3_bootloader_v2.bin')
    expect(parseOtadataEntry(dump.subarray(0xe000, 0xe020))).toEqual({ sequence: 1, state: 'undefined', selectable: true })
    // Arduino's boot_app0 leaves a second entry of sequence 0, whose CRC happens to be 0xFFFFFFFF: selectable, though never the higher one.
    expect(parseOtadataEntry(dump.subarray(0xf000, 0xf020))).toEqual({ sequence: 0, state: 'undefined', selectable: true })
  })
})

describe('the choice of a slot', () => {
  it('is that of a naive model which counts upwards', () => {
    fc.assert(
      fc.property(entry, entry, fc.integer({ min: 1, max: 16 }), fc.nat(15), (first, second, count, wanted) => {
        const slot = wanted % count
        const otadata: Otadata = [small(first), small(second)]
        const active = naiveActive(otadata)
        expect(activeEntry(otadata)).toBe(active)
        expect(selectSlot(otadata, slot, count)).toEqual(naiveChange(otadata, active, slot, count))
      }),
      { seed: 5, numRuns: 2000 },
    )
  })

  it('makes the slot the selected one, and touches the active entry only where it selects that slot already', () => {
    fc.assert(
      fc.property(entry, entry, fc.integer({ min: 1, max: 16 }), fc.nat(15), (first, second, count, wanted) => {
        const slot = wanted % count
        const otadata: Otadata = [first, second]
        const active = activeEntry(otadata)
        const change = selectSlot(otadata, slot, count)
        const written: OtadataEntry = { sequence: change.sequence, state: 'new', selectable: true }
        const after: Otadata = change.entry === 0 ? [written, second] : [first, written]
        const now = activeEntry(after)
        expect(now === undefined ? undefined : slotOfSequence(after[now].sequence, count)).toBe(slot)
        if (active !== undefined && change.entry === active) expect(slotOfSequence(otadata[active].sequence, count)).toBe(slot)
      }),
      { seed: 6, numRuns: 2000 },
    )
  })

  it('takes the first of two entries with the same sequence', () => {
    const same: OtadataEntry = { sequence: 4, state: 'valid', selectable: true }
    expect(activeEntry([same, same])).toBe(0)
  })

  it('alternates between two slots, entry by entry', () => {
    let otadata: Otadata = [blank, blank]
    const changes: string[] = []
    for (const slot of [0, 1, 0, 1, 0]) {
      const change = selectSlot(otadata, slot, 2)
      changes.push(`${change.entry}:${change.sequence}`)
      const written: OtadataEntry = { sequence: change.sequence, state: 'valid', selectable: true }
      otadata = change.entry === 0 ? [written, otadata[1]] : [otadata[0], written]
    }
    expect(changes).toEqual(['0:1', '1:2', '0:3', '1:4', '0:5'])
  })

  it('ends where the sequence numbers do', () => {
    const last: OtadataEntry = { sequence: 0xffff_fffe, state: 'valid', selectable: true }
    expect(slotOfSequence(0xffff_fffe, 2)).toBe(1)
    expect(() => selectSlot([last, blank], 0, 2)).toThrow(expect.objectContaining({ code: 'OTADATA_EXHAUSTED', fault: 'unsupported' }))
  })

  it('never writes sequence 0, which would select the last slot', () => {
    const zero: OtadataEntry = { sequence: 0, state: 'valid', selectable: true }
    expect(selectSlot([zero, blank], 2, 3)).toEqual({ entry: 1, sequence: 3 })
  })
})

const blank: OtadataEntry = { sequence: 0xffff_ffff, state: 'undefined', selectable: false }

/** The naive model counts, so it must not count far. */
function small(given: OtadataEntry): OtadataEntry {
  return given.sequence === 0xffff_ffff ? given : { ...given, sequence: (given.sequence % 1000) + 1 }
}

function naiveActive(otadata: Otadata): 0 | 1 | undefined {
  let best: 0 | 1 | undefined
  for (const index of [0, 1] as const) {
    if (otadata[index].selectable && (best === undefined || otadata[index].sequence > otadata[best].sequence)) best = index
  }
  return best
}

function naiveChange(otadata: Otadata, active: 0 | 1 | undefined, slot: number, count: number) {
  if (active === undefined) return { entry: 0, sequence: slot + 1 }
  for (let next = otadata[active].sequence; ; next++) {
    if ((next - 1) % count === slot) return { entry: next === otadata[active].sequence ? active : 1 - active, sequence: next }
  }
}
