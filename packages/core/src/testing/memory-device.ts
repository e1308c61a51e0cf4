import { throwIfAborted } from '../content/abort.ts'
import { concat } from '../content/byte-stream.ts'
import { type Digest, digestOf } from '../content/digest.ts'
import { fail } from '../core-errors.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { AgentPort } from '../plugin/ports.ts'

/** What a memory device is, and how it behaves. */
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
  /** What it has of the image that it is being sent. */
  readonly staged: Uint8Array
  /** What `status` would show now, without a look being taken. */
  state(): DeviceState
  /** Every call of its port so far, such as `begin` or `write 65536`. */
  readonly calls: readonly string[]
  /**
   * Lets the line break at the nth call from now on, 1 being the next: before the device hears of it, or `after` it has done it, so that only
   * its answer is lost. What was written stays.
   */
  breakLine(atCall: number, when?: 'before' | 'after'): void
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
  let breaksWhen: 'before' | 'after' = 'before'

  /** One word over the line and its answer, unless it breaks. */
  async function over<T>(call: string, act: () => T, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal)
    const isCut = calls.length + 1 === breaksAt
    const cut = (): Error => fail('DEVICE_SILENT', `device ${id}: expected an answer to "${call}", found the line broken`)
    if (isCut) breaksAt = Number.POSITIVE_INFINITY
    if (isCut && breaksWhen === 'before') throw cut()
    calls.push(call)
    const result = act()
    if (isCut) throw cut()
    return result
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

  function begin(digest: Digest, size: number): { readonly offset: number } {
    if (pending) throw fail('PLAN_REFUSED', `device ${id}: expected a running image that was kept, found one on trial`)
    if (staged?.digest !== digest) staged = { digest, size, bytes: new Uint8Array() }
    return { offset: staged.bytes.length }
  }

  function write(offset: number, bytes: Uint8Array): void {
    const next = staged?.bytes.length
    const room = Math.min(maxChunkBytes, (staged?.size ?? 0) - (next ?? 0))
    if (staged === undefined || offset !== next || bytes.length > room) {
      const found = `${bytes.length} at ${offset}`
      throw fail('INVALID_RANGE', `device ${id}: expected at most ${room} bytes at ${next ?? 'no offset'}, found ${found}`)
    }
    staged.bytes = concat([staged.bytes, bytes])
  }

  function activate(): void {
    const image = staged
    // Whole or not, nobody goes on with it: other bytes under the same digest would never become it.
    staged = undefined
    if (image === undefined || digestOf(image.bytes) !== image.digest)
      throw fail('DIGEST_MISMATCH', `device ${id}: expected a whole image, found less or another`)
    previous = running
    running = image.bytes
    pending = true
    looks = 0
  }

  function look(): DeviceState {
    looks += 1
    if (pending && selfTest === 'fails') goBack()
    if (pending && selfTest === 'passes' && looks > 1) pending = false
    return state()
  }

  function port(): MemoryAgentPort {
    let isOpen = true
    const open = async <T>(call: string, act: () => T, signal?: AbortSignal): Promise<T> => {
      if (!isOpen) throw fail('DEVICE_SILENT', `device ${id}: expected a port that is open for "${call}", found one that was disposed`)
      return over(call, act, signal)
    }
    return {
      deviceId: id,
      maxChunkBytes,
      begin: ({ digest, size }, { signal }) => open('begin', () => begin(digest, size), signal),
      write: (offset, bytes, { signal }) => open(`write ${offset}`, () => write(offset, bytes), signal),
      activate: ({ signal }) => open('activate', activate, signal),
      status: ({ signal }) => open('status', look, signal),
      rollback: () => open('rollback', goBack),
      async [Symbol.asyncDispose]() {
        if (isOpen) calls.push('dispose')
        isOpen = false
      },
    }
  }

  return Object.freeze<MemoryDevice>({
    id,
    options,
    get running() {
      return running
    },
    get staged() {
      return staged?.bytes ?? new Uint8Array()
    },
    state,
    calls,
    breakLine(atCall, when = 'before') {
      breaksAt = calls.length + atCall
      breaksWhen = when
    },
    port,
  })
}

function versionOf(image: Uint8Array): string {
  return new TextDecoder().decode(image).split('\n')[1] ?? '0.0.0'
}
