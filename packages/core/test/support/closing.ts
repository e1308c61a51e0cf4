import { type Cache, errorsOf, type Plugin } from '@reflash/core'

const fail = errorsOf({
  EXAMPLE_CLOSED: { fault: 'unavailable', means: 'The plugin was closed.', next: 'Use one that is open.' },
})

type Method = (...args: never[]) => unknown

/**
 * Gives a plugin of memory an end as one has that keeps a file or a connection: after `close()` every method is refused, and `close()` ends
 * after the calls that run.
 */
export function closing<P extends Plugin<string>>(plugin: P, isClosed = { now: false }): P {
  const running = new Set<Promise<unknown>>()
  const expectOpen = (name: string): void => {
    if (isClosed.now) throw fail('EXAMPLE_CLOSED', `expected ${plugin.name} to be open for ${name}(), found it closed`)
  }
  const counted = (work: Promise<unknown>): Promise<unknown> => {
    running.add(work)
    const forget = (): boolean => running.delete(work)
    work.then(forget, forget)
    return work
  }
  const guarded =
    (name: string, method: Method): Method =>
    (...args) => {
      if (isStream(name)) return openStream(name, method, args, expectOpen)
      return counted(
        (async () => {
          expectOpen(name)
          return await method(...args)
        })(),
      )
    }
  const methods = Object.entries(plugin).filter(([name, member]) => typeof member === 'function' && name !== 'close')
  return Object.freeze({
    ...plugin,
    ...Object.fromEntries(methods.map(([name, method]) => [name, guarded(name, method as Method)])),
    close: async () => {
      isClosed.now = true
      await Promise.allSettled(running)
      await plugin.close?.()
    },
  })
}

const isStream = (name: string): boolean => ['list', 'tags', 'referrers'].includes(name)

async function* openStream(name: string, method: Method, args: never[], expectOpen: (name: string) => void): AsyncGenerator<unknown> {
  expectOpen(name)
  yield* method(...args) as AsyncIterable<unknown>
}

/** A cache with an end: downloads that run are aborted by it. */
export function closingCache(cache: Cache, isClosed = { now: false }): Cache {
  const ending = new AbortController()
  const open = Object.freeze<Cache>({
    ...cache,
    hold: (descriptor, source, context) =>
      cache.hold(descriptor, source, { ...context, signal: AbortSignal.any([context.signal, ending.signal]) }),
  })
  const closed = closing(open, isClosed)
  return Object.freeze<Cache>({
    ...closed,
    close: async () => {
      ending.abort()
      await closed.close?.()
    },
  })
}
