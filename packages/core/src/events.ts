import { fail } from './core-errors.ts'
import type { Reason, Stage } from './errors.ts'

/**
 * What happened. Progress merges; nothing else is ever dropped. Every event is plain data: `JSON.stringify` writes it whole, `at` as ISO 8601.
 *
 * | type | told | of |
 * |---|---|---|
 * | `composed` | once, before anything else | the plugins, in the order in which they are closed, and what the composition leaves open |
 * | `release` | per room of the release line, once for each release, platform and target | `stage`: resolve, verify, fetch or inspect |
 * | `device` | per room of the device line, and per end of an update | `stage`: admit, plan, deliver, install, confirm or rollback |
 * | `progress` | per chunk | bytes of a fetch (`reference`) or a push (`deviceId`) |
 * | `rollout` | when the ticker moves a deployment | `step`: start (of a wave), pause or stop |
 * | `registry` | when it stops and begins to answer | `stale`: what is known is served meanwhile |
 */
export type OtaEvent = ComposedEvent | ReleaseEvent | DeviceEvent | ProgressEvent | RegistryEvent | RolloutEvent

/** The audit record's first line: what this system is made of. */
export interface ComposedEvent {
  readonly type: 'composed'
  readonly at: Date
  readonly plugins: readonly { readonly kind: string; readonly name: string }[]
  /** What is not secure, one sentence each. */
  readonly opens: readonly string[]
}

/** One room of the release line. */
export interface ReleaseEvent {
  readonly type: 'release'
  readonly at: Date
  readonly stage: Stage
  readonly status: 'passed' | 'failed'
  readonly reference: string
  /** Known from `verify` on. */
  readonly version?: string
  readonly because: readonly Reason[]
}

/** One room of the device line. `waiting` is told when what is waited for changes; `superseded` is an offer that was taken back. */
export interface DeviceEvent {
  readonly type: 'device'
  readonly at: Date
  readonly stage: Stage
  readonly status: 'passed' | 'waiting' | 'unobserved' | 'failed' | 'superseded'
  readonly deviceId: string
  /** Number of the update, ascending per device. */
  readonly seq: number
  readonly version: string
  readonly because: readonly Reason[]
}

/** How far a transfer is, in bytes. */
export interface ProgressEvent {
  readonly type: 'progress'
  readonly at: Date
  readonly stage: Stage
  readonly deviceId?: string
  readonly reference?: string
  readonly done: number
  readonly total: number
}

/** Whether the registry answers. */
export interface RegistryEvent {
  readonly type: 'registry'
  readonly at: Date
  readonly status: 'stale' | 'fresh'
  /** The repository that it was seen at. */
  readonly repository: string
  readonly because: readonly Reason[]
}

/** What the ticker did with a deployment. */
export interface RolloutEvent {
  readonly type: 'rollout'
  readonly at: Date
  readonly deployment: string
  readonly step: 'start' | 'pause' | 'stop'
  /** The wave that is open then. */
  readonly wave: number
  readonly because: readonly Reason[]
}

/** Where a composition tells what happens. */
export interface Events {
  emit(event: OtaEvent): void
  /** Every event from now on, in order, until the returned function is called. What a listener throws, or rejects with, is its own affair. */
  subscribe(listener: (event: OtaEvent) => void): () => void
  /**
   * The same as an iterable for one reader; ends at `close`, or with the signal.
   * @throws `EVENTS_OVERFLOW` to a reader that fell more than 10,000 events behind, after those
   */
  iterate(signal?: AbortSignal): AsyncIterable<OtaEvent>
  close(): void
}

/** A reader this far behind is broken: it is told, rather than fed with gaps. */
const queueLimit = 10_000

export function createEvents(): Events {
  const listeners = new Set<(event: OtaEvent) => unknown>()
  const enders = new Set<() => void>()
  let closed = false

  function emit(event: OtaEvent): void {
    for (const listener of [...listeners]) {
      try {
        const result = listener(event)
        // A listener may be an async function: its rejection must not end the process.
        if (result instanceof Promise) result.catch(() => undefined)
      } catch {
        // A listener's bug is its own: an update does not fail because a logger did.
      }
    }
  }

  function subscribe(listener: (event: OtaEvent) => unknown): () => void {
    if (!closed) listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  // Subscribes at the call, not at the first read: nothing between the two is lost.
  function iterate(signal?: AbortSignal): AsyncIterable<OtaEvent> {
    const queue = eventQueue()
    let ended = false
    let wake: (() => void) | undefined
    const end = (): void => {
      ended = true
      unsubscribe()
      enders.delete(end)
      signal?.removeEventListener('abort', end)
      wake?.()
    }
    const unsubscribe = subscribe((event) => {
      if (!queue.add(event)) end()
      wake?.()
    })
    enders.add(end)
    signal?.addEventListener('abort', end, { once: true })
    if (closed || signal?.aborted === true) end()
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for (;;) {
            const event = queue.take()
            if (event !== undefined) yield event
            else if (queue.isOverfull()) throw overflow()
            else if (ended) return
            else await new Promise<void>((resolve) => (wake = resolve))
          }
        } finally {
          end()
        }
      },
    }
  }

  function close(): void {
    closed = true
    for (const end of [...enders]) end()
    listeners.clear()
  }

  return { emit, subscribe, iterate, close }
}

/** Events that wait for a reader. Of the progress of one transfer only the newest waits. */
function eventQueue() {
  let waiting: { event: OtaEvent }[] = []
  // Taken from the front by index: shifting a long array moves all that is behind.
  let first = 0
  let overfull = false
  const progress = new Map<string, { event: OtaEvent }>()

  function add(event: OtaEvent): boolean {
    const subject = event.type === 'progress' ? JSON.stringify([event.stage, event.deviceId, event.reference]) : undefined
    const known = subject === undefined ? undefined : progress.get(subject)
    if (known !== undefined) {
      known.event = event
      return true
    }
    if (waiting.length - first >= queueLimit) {
      overfull = true
      return false
    }
    const place = { event }
    waiting.push(place)
    if (subject !== undefined) progress.set(subject, place)
    return true
  }

  function take(): OtaEvent | undefined {
    const place = waiting[first]
    if (place === undefined) return undefined
    first += 1
    if (first === waiting.length) {
      waiting = []
      first = 0
    }
    const { event } = place
    if (event.type === 'progress') progress.delete(JSON.stringify([event.stage, event.deviceId, event.reference]))
    return event
  }

  return { add, take, isOverfull: () => overfull }
}

function overflow(): Error {
  return fail('EVENTS_OVERFLOW', `expected the reader to stay within ${queueLimit} events, found it further behind`)
}
