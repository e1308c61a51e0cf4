import {
  collect,
  crc32,
  type Digest,
  type Driver,
  digestOf,
  errorsOf,
  type FlashPort,
  type HeldImage,
  type Installed,
  type Observation,
  type RunContext,
  throwIfAborted,
} from '@reflash/core'
import { flashLayout } from './flash-board.ts'

export type BoardPlan = { readonly slotBytes: number; readonly digest: Digest; readonly size: number }

/** What a right driver does; a mutant leaves one of it out. */
export interface FlashDriverOptions {
  /** Reads the slot back after it was written. */
  readonly readsBack: boolean
  /** Erases before it writes. */
  readonly erases: boolean
  /** Looks at the image in the slot before it switches. */
  readonly checksSlot: boolean
  /** Reads the boot record back before it restarts the device. */
  readonly checksRecord: boolean
  /** Writes the slot that does not run. */
  readonly spares: boolean
  /** Leaves blocks alone that hold what they should. */
  readonly resumes: boolean
  /** Refuses an answer that is shorter than what was asked for. */
  readonly counts: boolean
}

const right: FlashDriverOptions = {
  readsBack: true,
  erases: true,
  checksSlot: true,
  checksRecord: true,
  spares: true,
  resumes: true,
  counts: true,
}

const fail = errorsOf({
  EXAMPLE_SHORT_READ: { fault: 'unavailable', means: 'The board gave fewer bytes than were asked for.', next: 'Try again.' },
  EXAMPLE_NOT_WRITTEN: { fault: 'unavailable', means: 'The board does not hold what was written.', next: 'Try again.' },
  EXAMPLE_NOT_DELIVERED: { fault: 'invalid', means: 'The slot does not hold the image.', next: 'Deliver it first.' },
})

const { blockBytes, records, slots, slotBytes, stateAt } = flashLayout

interface BootRecord {
  readonly at: number
  readonly sequence: number
  readonly slot: number
  readonly digest: Digest
  readonly version: string
  readonly state: number
}

/** Makes the driver of `flashBoard`: A/B over raw flash. Its commit point is the write of the boot record. */
export function flashBoardDriver(options: Partial<FlashDriverOptions> = {}): Driver<FlashPort, BoardPlan> {
  const { readsBack, erases, checksSlot, checksRecord, spares, resumes, counts } = { ...right, ...options }

  async function read(port: FlashPort, offset: number, length: number, context: RunContext): Promise<Uint8Array> {
    throwIfAborted(context.signal)
    const bytes = await port.read(offset, length, context)
    if (counts && bytes.length !== length)
      throw fail('EXAMPLE_SHORT_READ', `expected ${length} bytes at ${offset}, found ${bytes.length}; try again`)
    return bytes
  }

  async function recordAt(at: number, port: FlashPort, context: RunContext): Promise<BootRecord | undefined> {
    const bytes = await read(port, at, 64, context)
    if (bytes.length < 64) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const offset = slots[view.getUint32(4)]
    const size = view.getUint32(8)
    if (view.getUint32(44) !== crc32(bytes.subarray(0, 44)) || offset === undefined || size > slotBytes) return undefined
    const digest = `sha256:${Buffer.from(bytes.subarray(12, 44)).toString('hex')}` as Digest
    const image = await read(port, offset, size, context)
    if (digestOf(image) !== digest) return undefined
    const version = new TextDecoder().decode(image).split('\n')[1] ?? '0.0.0'
    return { at, sequence: view.getUint32(0), slot: view.getUint32(4), digest, version, state: bytes[stateAt] as number }
  }

  /** What runs: a new record was not started yet, one that went back is not started again. */
  async function runningOf(port: FlashPort, context: RunContext): Promise<BootRecord | undefined> {
    const found = [await recordAt(records[0], port, context), await recordAt(records[1], port, context)]
    const started = found.filter((record) => record !== undefined && (record.state === 0xfe || record.state === 0xfc))
    return started.sort((a, b) => (b?.sequence ?? 0) - (a?.sequence ?? 0))[0]
  }

  async function freeSlot(port: FlashPort, context: RunContext): Promise<0 | 1> {
    const slot = (await runningOf(port, context))?.slot === 0 ? 1 : 0
    return spares ? slot : slot === 0 ? 1 : 0
  }

  async function writeSlot(image: HeldImage, offset: number, port: FlashPort, context: RunContext): Promise<void> {
    const { size } = image.descriptor
    const bytes = await collect(image.open(), slotBytes, 'image')
    for (let at = 0; at < size; at += blockBytes) {
      const block = bytes.subarray(at, at + blockBytes)
      const old = await read(port, offset + at, block.length, context)
      if (!resumes || Buffer.compare(old, block) !== 0) {
        throwIfAborted(context.signal)
        if (erases) await port.erase(offset + at, blockBytes, context)
        throwIfAborted(context.signal)
        await port.write(offset + at, block, context)
      }
      context.progress?.(Math.min(at + blockBytes, size), size)
    }
  }

  const installedOf = ({ version, digest, state }: BootRecord): Installed => ({
    version,
    digest,
    state: state === 0xfc ? 'confirmed' : 'pending',
  })

  return Object.freeze<Driver<FlashPort, BoardPlan>>({
    async probe(port, context) {
      const running = await runningOf(port, context)
      const id = port.deviceId
      if (running === undefined) return { id, model: 'board' }
      return { id, model: 'board', installed: installedOf(running) }
    },
    async deliver({ digest, size }, image, port, context): Promise<Observation> {
      if ((await runningOf(port, context))?.digest === digest) return { by: 'report', report: { state: 'downloaded' } }
      const offset = slots[await freeSlot(port, context)]
      await writeSlot(image, offset, port, context)
      if (!readsBack) return { by: 'report', report: { state: 'downloaded' } }
      return { by: 'read-back', size, digest: digestOf(await read(port, offset, size, context)) }
    },
    async install({ digest, size }, port, context): Promise<Observation> {
      const running = await runningOf(port, context)
      if (running?.digest === digest) return { by: 'report', report: { state: 'installed' } }
      const slot = await freeSlot(port, context)
      if (checksSlot && digestOf(await read(port, slots[slot], size, context)) !== digest)
        throw fail('EXAMPLE_NOT_DELIVERED', `expected the image ${digest} in slot ${slot}, found another; deliver it first`)
      const at = records.find((record) => record !== running?.at) ?? records[0]
      const record = recordOf((running?.sequence ?? 0) + 1, slot, size, digest)
      throwIfAborted(context.signal)
      if (erases) await port.erase(at, blockBytes, context)
      await port.write(at, record, context)
      if (checksRecord && Buffer.compare(await read(port, at, record.length, context), record) !== 0)
        throw fail('EXAMPLE_NOT_WRITTEN', `expected the boot record at ${at}, found another; try again`)
      await port.reset(context)
      return { by: 'report', report: { state: 'installed' } }
    },
    async confirm({ digest }, port, context): Promise<Observation> {
      const running = await runningOf(port, context)
      if (running?.digest !== digest) return { by: 'report', report: { state: 'rolled-back', messages: ['the board runs another image'] } }
      return { by: 'check-in', installed: installedOf(running) }
    },
    async rollback({ digest }, port, context) {
      const running = await runningOf(port, context)
      if (running?.digest !== digest || running.state === 0xfc) return
      await port.write(running.at + stateAt, Uint8Array.of(0xfa), context)
      await port.reset(context)
    },
  })
}

function recordOf(sequence: number, slot: number, size: number, digest: Digest): Uint8Array {
  const record = new Uint8Array(48)
  const view = new DataView(record.buffer)
  view.setUint32(0, sequence)
  view.setUint32(4, slot)
  view.setUint32(8, size)
  record.set(Buffer.from(digest.slice(7), 'hex'), 12)
  view.setUint32(44, crc32(record.subarray(0, 44)))
  return record
}
