import type { RunContext } from '../plugin/plugin.ts'
import { aborted } from './abort.ts'

type Caller = Pick<RunContext, 'signal' | 'progress'>

/** Does the work of one key. `signal` fires when the last caller has left; `progress` reaches all who wait. */
type Work<T> = (signal: AbortSignal, progress: (done: number, total: number) => void) => Promise<T>

interface Flight<T> {
  readonly controller: AbortController
  readonly callers: Set<(done: number, total: number) => void>
  readonly result: Promise<T>
}

/**
 * Makes a function that shares one run of the work among all who ask for the same key at the same time. A caller who aborts leaves at once
 * with `ABORTED`; the work goes on while anybody waits, and is aborted when the last has left.
 */
export function singleFlight<T>(): (key: string, caller: Caller, work: Work<T>) => Promise<T> {
  const flights = new Map<string, Flight<T>>()

  function forget(key: string, flight: Flight<T>): void {
    if (flights.get(key) === flight) flights.delete(key)
  }

  function start(key: string, work: Work<T>): Flight<T> {
    const controller = new AbortController()
    const callers: Flight<T>['callers'] = new Set()
    const progress = (done: number, total: number): void => {
      for (const tell of callers) tell(done, total)
    }
    const flight: Flight<T> = { controller, callers, result: (async () => work(controller.signal, progress))() }
    flights.set(key, flight)
    const land = (): void => forget(key, flight)
    flight.result.then(land, land)
    return flight
  }

  function join(key: string, flight: Flight<T>, caller: Caller): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        flight.callers.delete(tell)
        caller.signal.removeEventListener('abort', onAbort)
      }
      const leaveWith = (error: unknown): void => {
        leave()
        reject(error)
        if (flight.callers.size > 0) return
        // Whoever comes now must not join work that is being ended.
        forget(key, flight)
        flight.controller.abort()
      }
      const onAbort = (): void => leaveWith(aborted(caller.signal))
      const tell = (done: number, total: number): void => {
        try {
          caller.progress?.(done, total)
        } catch (error) {
          // One caller's mistake is its own failure, not that of all who share the work.
          leaveWith(error)
        }
      }
      flight.callers.add(tell)
      caller.signal.addEventListener('abort', onAbort, { once: true })
      flight.result.finally(leave).then(resolve, reject)
    })
  }

  return (key, caller, work) =>
    caller.signal.aborted ? Promise.reject(aborted(caller.signal)) : join(key, flights.get(key) ?? start(key, work), caller)
}
