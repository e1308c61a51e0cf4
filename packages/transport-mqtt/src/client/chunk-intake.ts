import { type AgentPort, isOtaError, type RunContext } from '@reflash/core'
import { bitmapOf } from '../wire/bitmap.ts'
import type { Chunk } from '../wire/chunk.ts'
import type { ChunkAck } from '../wire/chunk-ack.ts'

/** Chunks of one transfer on their way into the device: in any order, stored in the right one. */
export interface ChunkIntake {
  readonly transfer: number
  readonly next: number
  /** Takes a chunk, or leaves it where it has no place. */
  take(chunk: Chunk): void
  /** Resolves once all that can be stored is stored. */
  settled(): Promise<void>
  /** What is told to the server now. */
  ack(): ChunkAck
}

export interface IntakeOptions {
  readonly port: AgentPort
  readonly transfer: number
  readonly offset: number
  readonly size: number
  readonly chunkBytes: number
  readonly windowBytes: number
  readonly context: () => RunContext
  /** Something was stored, or could not be: the server is to hear of it. */
  readonly onChange: () => void
}

export function chunkIntake(options: IntakeOptions): ChunkIntake {
  const { port, transfer, size, chunkBytes, windowBytes, context, onChange } = options
  const held = new Map<number, Uint8Array>()
  let next = options.offset
  let storing: Promise<void> | undefined
  let failed: 'refused' | 'busy' | undefined

  async function store(): Promise<void> {
    // Where there is nothing to store it would end before `storing` is set, which then would stand for ever.
    await undefined
    for (let bytes = held.get(next); bytes !== undefined && failed === undefined; bytes = held.get(next)) {
      try {
        await port.write(next, bytes, context())
      } catch (error) {
        failed = isOtaError(error) && (error.fault === 'unavailable' || error.fault === 'aborted') ? 'busy' : 'refused'
        break
      }
      held.delete(next)
      next += bytes.length
      onChange()
    }
    for (const offset of held.keys()) if (offset < next) held.delete(offset)
    storing = undefined
    onChange()
  }

  return {
    transfer,
    get next() {
      return next
    },
    take({ offset, bytes }) {
      const end = offset + bytes.length
      if (failed !== undefined || end <= next || end > size || held.has(offset)) return onChange()
      if (end - next > windowBytes && offset > next) return
      // One that begins before and ends behind what is stored came from before a restart.
      if (offset < next) held.set(next, bytes.slice(next - offset))
      else held.set(offset, bytes.slice())
      storing ??= store()
      onChange()
    },
    async settled() {
      while (storing !== undefined) await storing
    },
    ack() {
      const ahead = [...held.keys()].map((offset) => (offset - next) / chunkBytes).filter((index) => Number.isInteger(index) && index >= 0)
      return { transfer, is: failed ?? 'held', next, bitmap: bitmapOf(ahead.filter((index) => index < 512)) }
    },
  }
}
