import { type AgentPort, concat, coreError, type DeviceState, type Digest, digestOf } from '@reflash/core'

export interface Board {
  readonly id: string
  /** What runs, or will run at the next start. */
  readonly running: Uint8Array
  readonly staged: Uint8Array
  /** Every call of its port, such as `write 4096`. */
  readonly calls: readonly string[]
  state(): DeviceState
  /** The device's own agent, as its update code sees it. */
  readonly port: AgentPort
  /** Power off and on: what was not a whole sector is lost. The new image starts on trial. */
  restart(): void
  /** The running image passes its self-test. */
  keep(): void
}

const sectorBytes = 1024
const versionOf = (image: Uint8Array): string => new TextDecoder().decode(image.subarray(0, 64)).split('\n')[1] ?? ''

/** A device with two slots whose agent stores chunks of up to 64 KiB; for images of the memory target. */
export function board(id: string, runs: Uint8Array): Board {
  let running = runs
  let next: Uint8Array | undefined
  let isPending = false
  let staged: { readonly digest: Digest; readonly size: number; bytes: Uint8Array } | undefined
  const calls: string[] = []
  const state = (): DeviceState => {
    const installed = {
      version: versionOf(running),
      digest: digestOf(running),
      state: isPending ? ('pending' as const) : ('confirmed' as const),
    }
    return { id, model: 'board', installed }
  }
  const port: AgentPort = {
    deviceId: id,
    maxChunkBytes: 65_536,
    async begin({ digest, size }) {
      calls.push('begin')
      if (staged?.digest !== digest || staged.size !== size) staged = { digest, size, bytes: new Uint8Array() }
      return { offset: staged.bytes.length }
    },
    async write(offset, bytes) {
      calls.push(`write ${offset}`)
      if (staged === undefined || offset !== staged.bytes.length || offset + bytes.length > staged.size) {
        throw coreError('INVALID_RANGE', `expected bytes at ${staged?.bytes.length}, found some at ${offset}`)
      }
      staged.bytes = concat([staged.bytes, bytes])
    },
    async *missing() {
      if (staged !== undefined && staged.bytes.length < staged.size)
        yield { offset: staged.bytes.length, length: staged.size - staged.bytes.length }
    },
    async activate() {
      calls.push('activate')
      const image = staged
      if (image === undefined || image.bytes.length !== image.size || digestOf(image.bytes) !== image.digest) {
        throw coreError('DIGEST_MISMATCH', 'expected a whole image, found less or another')
      }
      staged = undefined
      next = image.bytes
      running = next
      isPending = true
    },
    status: async () => state(),
    async [Symbol.asyncDispose]() {},
  }
  return {
    id,
    get running() {
      return running
    },
    get staged() {
      return staged?.bytes ?? new Uint8Array()
    },
    calls,
    state,
    port,
    restart() {
      calls.push('restart')
      if (staged !== undefined) staged.bytes = staged.bytes.slice(0, Math.floor(staged.bytes.length / sectorBytes) * sectorBytes)
    },
    keep() {
      isPending = false
    },
  }
}
