import { type FlashPort, isOtaError, type RunContext } from '@reflash/core'
import { type Cut, PowerCut, powerSupply, type SyncFlash } from '@reflash/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const context: RunContext = { signal: new AbortController().signal, now: new Date('2030-01-01T00:00:00Z') }

class FlashOfClass implements SyncFlash {
  readonly #bytes = Uint8Array.from({ length: 64 }, (_, index) => index)
  get size(): number {
    return this.#bytes.length
  }
  read(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(offset, offset + length)
  }
  erase(offset: number, length: number): void {
    this.#bytes.fill(0xff, offset, offset + length)
  }
  write(offset: number, bytes: Uint8Array): void {
    for (const [index, byte] of bytes.entries()) this.#bytes[offset + index] = (this.#bytes[offset + index] as number) & byte
  }
  sum(): number {
    return this.#bytes.reduce((sum, byte) => sum + byte, 0)
  }
}

function portOf(flash: SyncFlash): FlashPort & { readonly done: string[] } {
  const done: string[] = []
  return {
    done,
    deviceId: 'd1',
    read: async (offset, length) => flash.read(offset, length),
    erase: async (offset, length) => flash.erase(offset, length),
    write: async (offset, bytes) => flash.write(offset, bytes),
    md5: async () => new Uint8Array(16),
    reset: async () => {
      done.push('reset')
    },
    async [Symbol.asyncDispose]() {
      done.push('closed')
    },
  }
}

/** What a cut leaves of an erase, or of a write of zeros, of bytes 0 to 63. */
async function left(kind: 'erase' | 'write', cut: Omit<Cut, 'operation'>): Promise<readonly [Uint8Array, Uint8Array]> {
  const act = (flash: SyncFlash): unknown => (kind === 'erase' ? flash.erase(0, 64) : flash.write(0, new Uint8Array(64)))
  const [first, second] = [new FlashOfClass(), new FlashOfClass()]
  expect(() => act(powerSupply({ operation: 0, ...cut }).flash(first))).toThrow(PowerCut)
  const port = powerSupply({ operation: 0, ...cut }).port(portOf(second))
  const done = kind === 'erase' ? port.erase(0, 64, context) : port.write(0, new Uint8Array(64), context)
  await expect(done).rejects.toThrow(PowerCut)
  return [first.read(0, 64), second.read(0, 64)]
}

const old = Uint8Array.from({ length: 64 }, (_, index) => index)

describe('a power supply', () => {
  it('goes at one operation: after it nothing reads, erases, writes, sums or resets; closing still works', async () => {
    const flash = new FlashOfClass()
    const under = portOf(flash)
    const power = powerSupply({ operation: 1, mode: 'before' })
    const port = power.port(under)
    const other = power.flash(flash)
    await port.erase(0, 16, context)
    expect(power.isOff).toBe(false)
    await expect(port.write(0, Uint8Array.of(1), context)).rejects.toThrow('the power went at operation 1 (before)')
    expect(power.isOff).toBe(true)
    const after = [
      () => port.read(0, 1, context),
      () => port.erase(0, 16, context),
      () => port.write(0, old, context),
      () => port.md5?.(0, 1, context),
      () => port.reset(context),
      async () => other.read(0, 1),
      async () => other.erase(0, 16),
      async () => other.write(0, old),
    ]
    for (const act of after) await expect((async () => await act())()).rejects.toThrow(PowerCut)
    expect(power.operations).toEqual([
      { kind: 'erase', offset: 0, length: 16 },
      { kind: 'write', offset: 0, length: 1 },
    ])
    await port[Symbol.asyncDispose]()
    expect(under.done).toEqual(['closed'])
  })

  it('that never goes changes nothing, and leaves a flash what else it has', async () => {
    const flash = powerSupply().flash(Object.freeze(new FlashOfClass()))
    expect([flash.size, flash.sum(), 'sum' in flash]).toEqual([64, 2016, true])
    const under = portOf(new FlashOfClass())
    const port = powerSupply().port(under)
    await port.write(1, Uint8Array.of(0), context)
    expect(await port.read(0, 3, context)).toEqual(Uint8Array.of(0, 0, 2))
    expect((await port.md5?.(0, 1, context))?.length).toBe(16)
    await port.reset(context)
    expect(under.done).toEqual(['reset'])
    const { md5: _, ...without } = under
    expect('md5' in powerSupply().port({ ...without, [Symbol.asyncDispose]: async () => {} })).toBe(false)
  })

  it('throws what is no OtaError, so that nothing takes it for an answer of the device', () => {
    expect(isOtaError(new PowerCut('off'))).toBe(false)
    expect(new PowerCut('off').name).toBe('PowerCut')
  })

  it.each<['erase' | 'write', Omit<Cut, 'operation'>, Uint8Array]>([
    ['erase', { mode: 'before' }, old],
    ['erase', { mode: 'after' }, new Uint8Array(64).fill(0xff)],
    ['erase', { mode: 'prefix-erased', bytes: 7 }, old.map((byte, index) => (index < 7 ? 0xff : byte))],
    ['erase', { mode: 'between-blocks', bytes: 32 }, old.map((byte, index) => (index < 32 ? 0xff : byte))],
    ['erase', { mode: 'partly-erased', share: 0 }, old],
    ['erase', { mode: 'weakly-erased', share: 1 }, new Uint8Array(64).fill(0xff)],
    ['write', { mode: 'before' }, old],
    ['write', { mode: 'after' }, new Uint8Array(64)],
    ['write', { mode: 'torn', bytes: 7 }, old.map((byte, index) => (index < 7 ? 0 : byte))],
    ['write', { mode: 'half-programmed', share: 0 }, old],
    ['write', { mode: 'half-programmed', share: 1 }, new Uint8Array(64)],
  ])('leaves of an %s that is cut as %j what the table of the modes says', async (kind, cut, expected) => {
    expect(await left(kind, cut)).toEqual([expected, expected])
  })

  it('leaves of any torn write bits that were set, of any torn erase bits that were cleared, the same for the same seed', async () => {
    const write = fc.record({
      mode: fc.constantFrom('torn' as const, 'garbage' as const, 'half-programmed' as const),
      bytes: fc.nat(64),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.integer(),
    })
    const erase = fc.record({
      mode: fc.constantFrom('prefix-erased' as const, 'partly-erased' as const, 'weakly-erased' as const),
      bytes: fc.nat(64),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.integer(),
    })
    const property = fc.asyncProperty(write, erase, async (writeCut, eraseCut) => {
      const [written, writtenAgain] = await left('write', writeCut)
      expect(written).toEqual(writtenAgain)
      expect(written.every((byte, index) => (byte & ~(old[index] as number)) === 0)).toBe(true)
      const [erased, erasedAgain] = await left('erase', eraseCut)
      expect(erased).toEqual(erasedAgain)
      expect(erased.every((byte, index) => ((old[index] as number) & ~byte) === 0)).toBe(true)
      if (eraseCut.mode === 'partly-erased') expect(erased.every((byte, index) => byte === 0xff || byte === old[index])).toBe(true)
    })
    await fc.assert(property, { seed: 5, numRuns: 60 })
  })

  it('draws something else with another seed, and for another operation', async () => {
    const drawn = [1, 2, 3].map(async (seed) => (await left('write', { mode: 'half-programmed', seed }))[0].join())
    expect(new Set(await Promise.all(drawn)).size).toBe(3)
    const flash = new FlashOfClass()
    const supplied = powerSupply({ operation: 1, mode: 'half-programmed', seed: 1 }).flash(flash)
    supplied.erase(0, 0)
    expect(() => supplied.write(0, new Uint8Array(64))).toThrow(PowerCut)
    expect(flash.read(0, 64).join()).not.toBe(await drawn[0])
  })
})
