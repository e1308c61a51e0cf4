import type { FlashPort, RunContext } from '@reflash/core'
import { type cutModes, type EveryCutOptions, everyCut, type PowerSupply, type SyncFlash } from '@reflash/core/testing'
import { describe, expect, it } from 'vitest'

const context: RunContext = { signal: new AbortController().signal, now: new Date('2030-01-01T00:00:00Z') }
const blockBytes = 16

/** NOR flash of four blocks of 16 bytes. */
function norFlash(): SyncFlash {
  const bytes = new Uint8Array(4 * blockBytes).fill(0xff)
  return {
    read: (offset, length) => bytes.slice(offset, offset + length),
    erase: (offset, length) => {
      bytes.fill(0xff, offset, offset + length)
    },
    write: (offset, part) => {
      for (const [index, byte] of part.entries()) bytes[offset + index] = (bytes[offset + index] as number) & byte
    },
  }
}

/** One record to a block: number, its complement three times over, so that no torn one looks whole. */
const record = (value: number): Uint8Array => Uint8Array.of(value, value ^ 0x5a, value ^ 0xa5, value ^ 0x3c)

function valueIn(flash: SyncFlash, block: number): number {
  const found = flash.read(block * blockBytes, 4)
  return found.join() === record(found[0] as number).join() ? (found[0] as number) : 0
}

const value = (flash: SyncFlash): number => Math.max(valueIn(flash, 0), valueIn(flash, 1))

function put(flash: SyncFlash, block: number, next: number): void {
  flash.erase(block * blockBytes, blockBytes)
  flash.write(block * blockBytes, record(next))
}

function start(): SyncFlash {
  const flash = norFlash()
  flash.write(0, record(4))
  flash.write(blockBytes, record(3))
  return flash
}

/** A counter in two blocks that goes from 4 to 5. */
const counter: EveryCutOptions<SyncFlash> = {
  start,
  run: (flash, power) => put(power.flash(flash), 1, 5),
  check: (flash) => [4, 5].includes(value(flash)),
  again: (flash) => {
    put(flash, 1, 5)
    expect(value(flash)).toBe(5)
  },
  blockBytes,
}

describe('every cut of a run', () => {
  it('is made, before, after and inside each operation, and a run that may be cut anywhere passes', async () => {
    const { failures, ...counts } = await everyCut(counter)
    expect(failures).toEqual([])
    // Erase: before, after, 7 prefixes (powers of two from both ends are all bytes up to 15), 3 shares of 2 modes. Write: 3 prefixes, 2 of garbage, 3 shares.
    expect(counts).toEqual({ operations: 2, cuts: 2 + 15 + 6 + 2 + 3 + 2 + 3, torn: 15 + 6 + 3 + 2 + 3, unbootable: 0 })
  })

  it('finds the run that erases the only copy, and tells which cut, so that it can be seen again', async () => {
    const broken = { ...counter, run: (flash: SyncFlash, power: PowerSupply) => put(power.flash(flash), 0, 5) }
    const { failures, unbootable } = await everyCut({ ...broken, check: (flash) => valueIn(flash, 0) > 0 })
    expect(unbootable).toBeGreaterThan(10)
    expect(failures).toHaveLength(unbootable)
    expect(failures).toContainEqual({
      cut: { operation: 0, mode: 'after' },
      operation: { kind: 'erase', offset: 0, length: blockBytes },
      message: 'nothing boots',
    })
  })

  it('finds the run that commits before it has written', async () => {
    // The record of block 0 says where the data is: 1, written last, or here first.
    const boots = (flash: SyncFlash): boolean => valueIn(flash, 0) !== 7 || valueIn(flash, 1) === 9
    const run = (order: 'data first' | 'commit first') => (flash: SyncFlash, power: PowerSupply) => {
      const supplied = power.flash(flash)
      if (order === 'data first') put(supplied, 1, 9)
      put(supplied, 0, 7)
      if (order === 'commit first') put(supplied, 1, 9)
    }
    const options = { ...counter, check: boots, again: () => {} }
    expect((await everyCut({ ...options, run: run('data first') })).unbootable).toBe(0)
    expect((await everyCut({ ...options, run: run('commit first') })).unbootable).toBeGreaterThan(0)
  })

  it('finds the second attempt that takes a torn record for erased flash', async () => {
    const checked = await everyCut({
      ...counter,
      again: (flash) => {
        flash.write(blockBytes, record(5))
        expect(value(flash)).toBe(5)
      },
    })
    expect(checked.failures.length).toBeGreaterThan(0)
    expect(checked.failures[0]?.message).toContain('AssertionError')
  })

  it('finds the run that swallows the cut and ends well', async () => {
    const run = (flash: SyncFlash, power: PowerSupply) => {
      try {
        put(power.flash(flash), 1, 5)
      } catch {
        // What a run must not do.
      }
    }
    const { failures, cuts } = await everyCut({ ...counter, run })
    expect(failures).toHaveLength(cuts)
    expect(failures[0]?.message).toBe('the run ended well although its power went')
  })

  it('finds the run that is another each time', async () => {
    let times = 0
    const run = (flash: SyncFlash, power: PowerSupply) => put(power.flash(flash), ++times % 2, 5)
    const { failures } = await everyCut({ ...counter, run })
    expect(failures[0]?.message).toBe('the run is not the same each time: expected erase of 16 bytes at 16, found erase of 16 bytes at 0')
  })

  it('refuses a run that writes past its power, and options that are none', async () => {
    const refused = expect.objectContaining({ code: 'INVALID_OPTIONS' })
    await expect(everyCut({ ...counter, run: (flash) => put(flash, 1, 5) })).rejects.toThrow(refused)
    await expect(everyCut({ ...counter, seeds: [] })).rejects.toThrow(refused)
    await expect(everyCut({ ...counter, seeds: [0.5] })).rejects.toThrow(refused)
    await expect(everyCut({ ...counter, blockBytes: 0 })).rejects.toThrow(refused)
  })

  it('throws what the run throws without a cut', async () => {
    const run = () => {
      throw new TypeError('no board')
    }
    await expect(everyCut({ ...counter, run })).rejects.toThrow('no board')
  })

  it('makes only the modes that are asked for, and each random one once more with each seed', async () => {
    const cuts = async (modes: readonly (typeof cutModes)[number][], seeds: readonly number[]) =>
      (await everyCut({ ...counter, modes, seeds })).cuts
    expect(await cuts(['before'], [1, 2])).toBe(2)
    expect(await cuts(['half-programmed'], [1])).toBe(3)
    expect(await cuts(['half-programmed'], [1, 2])).toBe(6)
  })

  it('cuts an erase of several blocks between them', async () => {
    const run = (flash: SyncFlash, power: PowerSupply) => power.flash(flash).erase(blockBytes, 3 * blockBytes)
    const seen: number[] = []
    const check = (flash: SyncFlash) => seen.push([1, 2, 3].filter((block) => flash.read(block * blockBytes, 1)[0] !== 0xff).length) > 0
    const filled = () => {
      const flash = norFlash()
      flash.write(0, new Uint8Array(4 * blockBytes))
      return flash
    }
    const { cuts } = await everyCut({ start: filled, run, check, again: () => {}, modes: ['between-blocks'], blockBytes })
    expect({ cuts, seen }).toEqual({ cuts: 2, seen: [2, 1] })
  })

  it('wraps a port as well as a flash, and counts both together', async () => {
    const portOf = (flash: SyncFlash): FlashPort => ({
      deviceId: 'd1',
      read: async (offset, length) => flash.read(offset, length),
      erase: async (offset, length) => flash.erase(offset, length),
      write: async (offset, bytes) => flash.write(offset, bytes),
      reset: async () => {},
      async [Symbol.asyncDispose]() {},
    })
    const run = async (flash: SyncFlash, power: PowerSupply) => {
      const port = power.port(portOf(flash))
      await port.erase(blockBytes, blockBytes, context)
      await port.write(blockBytes, record(5), context)
      await port.reset(context)
      power.flash(flash).erase(2 * blockBytes, blockBytes)
    }
    const { operations, failures } = await everyCut({ ...counter, run })
    expect({ operations, failures }).toEqual({ operations: 3, failures: [] })
  })
})
