import { concat } from '../content/byte-stream.ts'
import { type Digest, digestOf } from '../content/digest.ts'
import { fail } from '../core-errors.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { AgentPort } from '../plugin/ports.ts'

export interface MemoryDeviceOptions {
  readonly id: string
  /** `board` where absent. */
  readonly model?: string
  /** The image that runs and was kept; nothing where absent. */
  readonly runs?: Uint8Array
  /** What becomes of a new image: it `passes` (which shows at the second look), `fails` and the device goes back, or `hangs` and stays on trial. */
  readonly selfTest?: 'passes' | 'fails' | 'hangs'
  /** What the device shows when it is asked to prove what it runs; it cannot where absent. */
  readonly evidence?: (challenge: Uint8Array, running: Uint8Array) => Evidence
}

/** The `agent` port of a memory device; it can also be told to go back. */
export interface MemoryAgentPort extends AgentPort {
  rollback(): Promise<void>
}

/** A device in memory with two slots and an agent: it takes an image in chunks, starts it on trial, and keeps it or goes back. */
export interface MemoryDevice {
  readonly id: string
  readonly options: MemoryDeviceOptions
  /** The bytes that run now. */
  readonly running: Uint8Array | undefined
  /** What `status` would show now, without a look being taken. */
  state(): DeviceState
  /** Every call of its port so far, such as `begin` or `write 65536`. */
  readonly calls: readonly string[]
  /** Lets the line break in place of the nth call from now on, 1 being the next; what was written before stays. */
  breakLine(atCall: number): void
  port(): MemoryAgentPort
}

/** Bytes: small, so that a test image takes several chunks. */
const maxChunkBytes = 16

/** Makes a device whose images are those of `memoryTarget`; the line after the first is their version. */
export function memoryDevice(options: MemoryDeviceOptions): MemoryDevice {
  const { id, model = 'board', selfTest = 'passes' } = options
  const calls: string[] = []
  let running = options.runs
  let previous: Uint8Array | undefined
  let looks = 0
  let pending = false
  let staged: { readonly digest: Digest; readonly size: number; bytes: Uint8Array } | undefined
  let breaksAt = Number.POSITIVE_INFINITY

  function enter(call: string): void {
    if (calls.length + 1 >= breaksAt) {
      breaksAt = Number.POSITIVE_INFINITY
      throw fail('DEVICE_SILENT', `device ${id}: expected an answer to "${call}", found the line broken`)
    }
    calls.push(call)
  }

  function goBack(): void {
    if (!pending) return
    running = previous
    pending = false
  }

  function state(): DeviceState {
    if (running === undefined) return { id, model }
    const installed = {
      version: versionOf(running),
      digest: digestOf(running),
      state: pending ? ('pending' as const) : ('confirmed' as const),
    }
    return { id, model, installed }
  }

  const port = (): MemoryAgentPort => ({
    deviceId: id,
    maxChunkBytes,
    async begin({ digest, size }) {
      enter('begin')
      if (pending) throw fail('PLAN_REFUSED', `device ${id}: expected a running image that was kept, found one on trial`)
      if (staged?.digest !== digest) staged = { digest, size, bytes: new Uint8Array() }
      return { offset: staged.bytes.length }
    },
    async write(offset, bytes) {
      enter(`write ${offset}`)
      if (staged === undefined || offset !== staged.bytes.length || bytes.length > maxChunkBytes) {
        throw fail(
          'INVALID_RANGE',
          `device ${id}: expected at most ${maxChunkBytes} bytes at ${staged?.bytes.length ?? 'none'}, found ${bytes.length} at ${offset}`,
        )
      }
      staged.bytes = concat([staged.bytes, bytes])
    },
    async activate() {
      enter('activate')
      if (staged === undefined || digestOf(staged.bytes) !== staged.digest)
        throw fail('DIGEST_MISMATCH', `device ${id}: expected a whole image, found less`)
      previous = running
      running = staged.bytes
      staged = undefined
      pending = true
      looks = 0
    },
    async status() {
      enter('status')
      looks += 1
      if (pending && selfTest === 'fails') goBack()
      if (pending && selfTest === 'passes' && looks > 1) pending = false
      return state()
    },
    async rollback() {
      enter('rollback')
      goBack()
    },
    async [Symbol.asyncDispose]() {
      calls.push('dispose')
    },
  })

  return Object.freeze<MemoryDevice>({
    id,
    options,
    get running() {
      return running
    },
    state,
    calls,
    breakLine(atCall) {
      breaksAt = calls.length + atCall
    },
    port,
  })
}

function versionOf(image: Uint8Array): string {
  return new TextDecoder().decode(image).split('\n')[1] ?? '0.0.0'
}
