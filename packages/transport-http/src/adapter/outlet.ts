import type { ServerResponse } from 'node:http'
import type { StallGuard } from './stall-guard.ts'

/** The way out to one client, one chunk at a time. */
export interface Outlet {
  /** False once the client has gone. */
  readonly open: boolean
  /** Bytes that were handed to the connection. */
  readonly bytes: number
  /** Resolves true once the chunk was handed over and its buffer is free again, false where the client has gone meanwhile. */
  write(chunk: Uint8Array, last: boolean): Promise<boolean>
  /** Calls `act` once the connection has closed; the last one that was given counts. */
  whenGone(act: () => void): void
}

/** `res` has its head written or queued. */
export function createOutlet(res: ServerResponse, guard: StallGuard): Outlet {
  const watch = guard.watch(
    () => res.destroy(),
    () => unsentBytes(res),
  )
  let open = !res.destroyed && !res.closed
  let bytes = 0
  let settle: ((handedOver: boolean) => void) | undefined
  let leave: (() => void) | undefined
  res.once('close', () => {
    open = false
    leave?.()
    watch.done()
    // After an end the order is finish, then close: this answers only what is still unanswered.
    settle?.(false)
  })
  return {
    get open() {
      return open
    },
    get bytes() {
      return bytes
    },
    whenGone(act) {
      if (open) leave = act
      else act()
    },
    write(chunk, last) {
      if (!open) return Promise.resolve(false)
      return new Promise<boolean>((resolve) => {
        settle = resolve
        watch.begin(chunk.length)
        const done = (error?: Error | null): void => {
          watch.done()
          if (error === undefined || error === null) bytes += chunk.length
          resolve(error === undefined || error === null)
        }
        if (last) res.end(chunk, done)
        else res.write(chunk, done)
      })
    },
  }
}

/** Bytes that the kernel has not taken; node tells whole writes only, its handle tells more. */
function unsentBytes({ socket }: ServerResponse): number {
  return (socket as { readonly _handle?: { readonly writeQueueSize?: number } | null } | null)?._handle?.writeQueueSize ?? 0
}
