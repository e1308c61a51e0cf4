import { fail } from './core-errors.ts'
import type { Reason, Stage } from './errors.ts'

/** What happened. Progress merges; nothing else is ever dropped. */
export type OtaEvent =
  | {
      readonly type: 'composed'
      readonly at: Date
      readonly plugins: readonly { readonly kind: string; readonly name: string }[]
      readonly opens: readonly string[]
    }
  | {
      /** One room of the release line, once per release and platform. */
      readonly type: 'release'
      readonly at: Date
      readonly stage: Stage
      readonly status: 'passed' | 'failed'
      readonly reference: string
      readonly version?: string
      readonly because: readonly Reason[]
    }
  | {
      /** One room of the device line. */
      readonly type: 'device'
      readonly at: Date
      readonly stage: Stage
      readonly status: 'passed' | 'waiting' | 'unobserved' | 'failed' | 'superseded'
      readonly deviceId: string
      readonly seq: number
      readonly version: string
      readonly because: readonly Reason[]
    }
  | {
      readonly type: 'progress'
      readonly at: Date
      readonly stage: Stage
      readonly deviceId?: string
      readonly reference?: string
      readonly done: number
      readonly total: number
    }
  | {
      readonly type: 'registry'
      readonly at: Date
      readonly status: 'stale' | 'fresh'
      readonly repository: string
      readonly because: readonly Reason[]
    }

export interface Events {
  emit(event: OtaEvent): void
  /** Every event from now on, in order. */
  subscribe(listener: (event: OtaEvent) => void): () => void
  /** The same as an iterable; ends at `close`. @throws `EVENTS_OVERFLOW` to a reader that fell more than 10,000 events behind. */
  iterate(signal?: AbortSignal): AsyncIterable<OtaEvent>
  close(): void
}

/** A reader this far behind is broken: it is told, rather than fed with gaps. */
const queueLimit = 10_000

export function createEvents(): Events {
  const listeners = new Set<(event: OtaEvent) => void>()
  const enders = new Set<() => void>()
  let closed = false
  const emit = (event: OtaEvent): void => {
    for (const listener of [...listeners]) {
      try {
        listener(event)
      } catch {
        // A listener's bug is its own: an update does not fail because a logger did.
      }
    }
  }
  const subscribe = (listener: (event: OtaEvent) => void): (() => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
  // Subscribes at the call, not at the first read: nothing between the two is lost.
  const iterate = (signal?: AbortSignal): AsyncIterable<OtaEvent> => {
    const queue: OtaEvent[] = []
    let ended = closed
    let overflow = false
    let wake: (() => void) | undefined
    const unsubscribe = subscribe((event) => {
      const last = queue.at(-1)
      if (event.type === 'progress' && last?.type === 'progress' && sameSubject(last, event)) queue[queue.length - 1] = event
      else if (queue.length < queueLimit) queue.push(event)
      else overflow = true
      wake?.()
    })
    const end = (): void => {
      ended = true
      unsubscribe()
      enders.delete(end)
      signal?.removeEventListener('abort', end)
      wake?.()
    }
    enders.add(end)
    signal?.addEventListener('abort', end, { once: true })
    if (closed || signal?.aborted === true) end()
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for (;;) {
            const event = queue.shift()
            if (event !== undefined) yield event
            else if (overflow)
              throw fail('EVENTS_OVERFLOW', `expected the reader to stay within ${queueLimit} events, found it further behind`)
            else if (ended) return
            else await new Promise<void>((resolve) => (wake = resolve))
          }
        } finally {
          end()
        }
      },
    }
  }
  const close = (): void => {
    closed = true
    for (const end of [...enders]) end()
    listeners.clear()
  }
  return { emit, subscribe, iterate, close }
}

type Progress = Extract<OtaEvent, { type: 'progress' }>

function sameSubject(a: Progress, b: Progress): boolean {
  return a.stage === b.stage && a.deviceId === b.deviceId && a.reference === b.reference
}
