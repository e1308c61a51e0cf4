import type { Json, PushResult, Reason } from '@reflash/core'

/** A write, and whether the process dies before it, after it, or inside it (half of the bytes are written then; only of the cache). */
export interface FaultPoint {
  readonly of: 'journal' | 'cache'
  /** 1 is the first write after `open`. */
  readonly at: number
  readonly when: 'before' | 'after' | 'inside'
}

/** What a server process is to be made of. */
export interface Setup {
  /** Journal and cache lie here; the same folder again is the same server after its death. */
  readonly folder: string
  /** An OCI image layout. */
  readonly repository: string
  readonly target: 'esp32' | 'memory'
  /** `proven`: evidence before the update, and of the new image after it. */
  readonly attestation: 'none' | 'proven'
  /** Public key that signs the releases, PEM; unsigned where absent. */
  readonly key?: string
  /** How far its clock is ahead of this machine's. */
  readonly clockOffsetMs?: number
  readonly fault?: FaultPoint
  /** Whether it listens for devices that pull. */
  readonly listens: boolean
  /** The port at the other end of its line; `agent` where absent. */
  readonly port?: 'agent' | 'flash'
  /** Gives up root before anything is opened, so that file modes count. */
  readonly asNobody?: boolean
}

/** What the parent asks of a server process. */
export type Command =
  | { readonly do: 'open'; readonly setup: Setup }
  | { readonly do: 'push'; readonly device: { readonly id: string; readonly model: string } }
  | { readonly do: 'clock'; readonly offsetMs: number }
  | { readonly do: 'record'; readonly deviceId: string }
  | { readonly do: 'close' }

export interface Failure {
  readonly code: string
  readonly fault: string
  readonly message: string
  readonly because: readonly Reason[]
}

/** What a server process says: the answer to a command, or a call of the device at the other end of its line. */
export type Said =
  | { readonly is: 'ready' }
  | { readonly is: 'done'; readonly url?: string; readonly result?: PushResult; readonly record?: Json; readonly failure?: Failure }
  | { readonly is: 'call'; readonly n: number; readonly method: string; readonly args: readonly unknown[] }

/** The answer to a call of a device. */
export interface Answered {
  readonly is: 'answer'
  readonly n: number
  readonly value?: unknown
  readonly failure?: Failure
}
