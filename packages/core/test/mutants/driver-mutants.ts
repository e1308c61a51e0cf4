import {
  type ByteStream,
  collect,
  coreError,
  type Digest,
  type Driver,
  digestOf,
  type HeldImage,
  isOtaError,
  type Json,
  type Observation,
  type Ports,
  type RunContext,
} from '@reflash/core'
import { type TargetSuiteOptions, targetRules } from '@reflash/core/conformance'
import { briefMs, type Mutant, mutantsOf, never, turn } from './mutant.ts'

export type AnyDriver = Driver<object, Json>
type Change = (right: AnyDriver) => Partial<AnyDriver>

/** The port with some of its members exchanged. */
export function portWith<P extends object>(port: P, members: Readonly<Record<string, unknown>>): P {
  return new Proxy({} as P, {
    get: (_, key) => {
      if (typeof key === 'string' && key in members) return members[key]
      const member: unknown = Reflect.get(port, key)
      return typeof member === 'function' ? member.bind(port) : member
    },
    has: (_, key) => Reflect.has(port, key),
  })
}

/** The port, each of whose calls goes through `around`. */
export function portAround<P extends object>(
  port: P,
  around: (args: readonly unknown[], call: (args: readonly unknown[]) => unknown) => unknown,
): P {
  return new Proxy({} as P, {
    get: (_, key) => {
      const member: unknown = Reflect.get(port, key)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => around(args, (given) => member.apply(port, given))
    },
    has: (_, key) => Reflect.has(port, key),
  })
}

/** The driver that sees another port. */
export const through =
  (change: (port: object, context: RunContext) => object): Change =>
  ({ probe, deliver, install, confirm }) => ({
    probe: (port, context) => probe(change(port, context), context),
    deliver: (plan, image, port, context) => deliver(plan, image, change(port, context), context),
    install: (plan, port, context) => install(plan, change(port, context), context),
    confirm: (plan, port, context) => confirm(plan, change(port, context), context),
  })

/** The driver that delivers another image. */
export const delivering =
  (change: (image: HeldImage) => Partial<HeldImage>): Change =>
  ({ deliver }) => ({ deliver: (plan, image, port, context) => deliver(plan, { ...image, ...change(image) }, port, context) })

const digestIn = (plan: Json): Digest => (plan as { readonly digest: Digest }).digest
const said = (state: 'downloading' | 'downloaded' | 'installed' | 'rolled-back'): Observation => ({ by: 'report', report: { state } })
const has = (error: unknown, ...codes: readonly string[]): boolean => isOtaError(error) && codes.includes(error.code)

async function* longChunks(stream: ByteStream): ByteStream {
  for await (const chunk of stream) if (chunk.length >= 64) yield chunk
}

async function* upToEmpty(stream: ByteStream): ByteStream {
  for await (const chunk of stream) {
    if (chunk.length === 0) return
    yield chunk
  }
}

async function* upToBreak(stream: ByteStream): ByteStream {
  try {
    yield* stream
  } catch {
    // As if it were whole.
  }
}

/** Makes mutants of the driver of one port. */
export function driverMutant(kind: keyof Ports & ('flash' | 'agent'), right: TargetSuiteOptions) {
  const { plugin } = mutantsOf(targetRules, right)
  return (rule: string, wrong: string, change: Change, timeoutMs?: number): Mutant =>
    plugin(
      `${kind}/${rule}`,
      wrong,
      ({ drive }) => {
        const driver = drive?.[kind] as unknown as AnyDriver
        return { drive: Object.freeze({ ...drive, [kind]: Object.freeze({ ...driver, ...change(driver) }) }) }
      },
      timeoutMs,
    )
}

type Make = ReturnType<typeof driverMutant>

/** Mutants of any driver, of what is asked of it where all goes well. */
export const drivingMutants = (mutant: Make): readonly Mutant[] => [
  mutant('probe', 'calls a device by another name', ({ probe }) => ({
    probe: async (port, context) => ({ ...(await probe(port, context)), id: 'unit' }),
  })),
  mutant('deliver', 'says that it downloads when it has delivered', ({ deliver }) => ({
    deliver: async (...args) => {
      await deliver(...args)
      return said('downloading')
    },
  })),
  mutant('install', 'says that it has installed what it has delivered', ({ install }) => ({
    install: async (plan, port, context) => (context.signal.aborted ? install(plan, port, context) : said('installed')),
  })),
  mutant('confirm', 'waits for ever for an image to be kept', ({ confirm }) => ({
    confirm: async (...args) => {
      await confirm(...args)
      return said('installed')
    },
  })),
  mutant('confirm-early', 'confirms what was planned', ({ confirm }) => ({
    confirm: async (plan, port, context) => {
      await confirm(plan, port, context)
      return { by: 'check-in', installed: { version: '1.1.0', digest: digestIn(plan), state: 'confirmed' } }
    },
  })),
  mutant('confirm-pending', 'takes what runs for what was kept', ({ confirm }) => ({
    confirm: async (...args) => {
      const observed = await confirm(...args)
      return observed.by === 'check-in' ? { ...observed, installed: { ...observed.installed, state: 'confirmed' } } : observed
    },
  })),
  mutant('confirm-pending', 'says at each look that what runs was kept', ({ probe }) => ({
    probe: async (...args) => {
      const state = await probe(...args)
      return state.installed === undefined ? state : { ...state, installed: { ...state.installed, state: 'confirmed' as const } }
    },
  })),
  mutant('confirm-fallback', 'waits on when the device went back', ({ confirm }) => ({
    confirm: async (plan, ...rest) => {
      const observed = await confirm(plan, ...rest)
      const isOld = observed.by === 'check-in' ? observed.installed.digest !== digestIn(plan) : observed.by === 'report'
      return isOld ? said('downloaded') : observed
    },
  })),
  mutant('again', 'refuses to deliver what it has delivered', ({ probe, deliver, install }) => {
    let isDelivered = false
    return {
      probe: async (...args) => {
        isDelivered = false
        return probe(...args)
      },
      deliver: async (...args) => {
        if (isDelivered) throw coreError('DEVICE_BUSY', 'expected a device without an image, found one with it')
        const observed = await deliver(...args)
        isDelivered = true
        return observed
      },
      install: async (...args) => {
        isDelivered = false
        return install(...args)
      },
    }
  }),
  mutant(
    'chunks',
    'loses chunks of less than 64 bytes',
    delivering(({ open }) => ({ open: (range) => longChunks(open(range)) })),
  ),
  mutant(
    'slow-image',
    'takes an empty chunk for the end',
    delivering(({ open }) => ({ open: (range) => upToEmpty(open(range)) })),
  ),
  mutant('progress', 'tells of none', ({ deliver }) => ({
    deliver: (plan, image, port, { signal, now }) => deliver(plan, image, port, { signal, now }),
  })),
  mutant('progress', 'counts every byte twice', ({ deliver }) => ({
    deliver: (plan, image, port, context) =>
      deliver(plan, image, port, { ...context, progress: (done, total) => context.progress?.(done * 2, total) }),
  })),
  mutant('rollback', 'says that it went back, and does not', () => ({ rollback: async () => {} })),
  mutant('isolated', 'installs on the device to which it has delivered last', ({ deliver, install }) => {
    let last: object | undefined
    return {
      deliver: (plan, image, port, context) => {
        last = port
        return deliver(plan, image, port, context)
      },
      install: (plan, port, context) => install(plan, last ?? port, context),
    }
  }),
  mutant('two-writers', 'stays locked by two who deliver at once', ({ deliver }) => {
    const busy = new WeakSet<object>()
    const locked = new WeakSet<object>()
    return {
      deliver: async (plan, image, port, context) => {
        if (busy.has(port)) locked.add(port)
        if (locked.has(port)) throw coreError('DEVICE_BUSY', 'expected a device that nobody drives, found it locked')
        busy.add(port)
        try {
          return await deliver(plan, image, port, context)
        } finally {
          busy.delete(port)
        }
      },
    }
  }),
  mutant('abort-after', 'goes back when its caller leaves after the installation', ({ install, rollback }) => ({
    install: async (plan, port, context) => {
      const observed = await install(plan, port, context)
      const goBack = (): void => void rollback?.(plan, port, { ...context, signal: new AbortController().signal })
      context.signal.addEventListener('abort', goBack, { once: true })
      return observed
    },
  })),
  mutant('abort-before', 'looks at a device for a caller who has left', ({ probe }) => ({
    probe: (port, context) => probe(port, { ...context, signal: new AbortController().signal }),
  })),
]

const refusals = ['EXAMPLE_NOT_DELIVERED', 'DIGEST_MISMATCH']

/** Mutants of any driver, of what is asked of it where images are wrong. */
export const wrongImageMutants = (mutant: Make): readonly Mutant[] => [
  mutant('install-undelivered', 'takes a device for updated that refuses to install', ({ install }) => ({
    install: async (...args) => {
      try {
        return await install(...args)
      } catch (error) {
        if (!has(error, ...refusals)) throw error
        return said('installed')
      }
    },
  })),
  mutant('damaged-image', 'compares what it has written with what it was given, and not with the plan', ({ deliver, install }) => {
    let isBelieved = false
    return {
      deliver: async (plan, image, port, context) => {
        isBelieved = false
        const observed = await deliver(plan, image, port, context)
        if (observed.by !== 'read-back') {
          isBelieved = true
          return observed
        }
        isBelieved = digestOf(await collect(image.open(), 1 << 20)) === observed.digest
        return isBelieved ? { ...observed, digest: digestIn(plan) } : observed
      },
      install: async (...args) => {
        try {
          return await install(...args)
        } catch (error) {
          if (!has(error, ...refusals) || !isBelieved) throw error
          return said('installed')
        }
      },
    }
  }),
  mutant('other-image', 'delivers and installs whatever image it is given', ({ deliver, install }) => {
    let given: Json | undefined
    const planOf = (plan: Json, { descriptor: { digest, size } }: HeldImage): Json => ({ ...(plan as object), digest, size })
    return {
      deliver: async (plan, image, port, context) => {
        given = planOf(plan, image)
        const observed = await deliver(given, image, port, context)
        return digestIn(plan) === image.descriptor.digest ? observed : said('downloaded')
      },
      install: (plan, port, context) => install(given ?? plan, port, context),
    }
  }),
  mutant(
    'broken-image',
    'takes an image that breaks for one that ends',
    delivering(({ open }) => ({ open: (range) => upToBreak(open(range)) })),
  ),
]

/** The port whose calls get another signal than the driver gives them. */
const passingOn = (port: object, signal: AbortSignal): object =>
  portAround(port, (args, call) => {
    const last = args.at(-1) as Partial<RunContext> | undefined
    return call(last?.signal === undefined ? args : [...args.slice(0, -1), { ...last, signal }])
  })

/** Calls again and again where the port has ended a call, for as long as anybody looks. */
const insisting = (port: object): object =>
  portAround(port, (args, call) => {
    const answer = call(args)
    return answer instanceof Promise ? answer.catch((error: unknown) => insist(error, args, call)) : answer
  })

async function insist(first: unknown, args: readonly unknown[], call: (args: readonly unknown[]) => unknown): Promise<unknown> {
  let error = first
  const start = performance.now()
  while (has(error, 'ABORTED') && performance.now() - start < 2 * briefMs) {
    await turn()
    try {
      return await call([...args.slice(0, -1), { ...(args.at(-1) as RunContext), signal: new AbortController().signal }])
    } catch (next) {
      error = next
    }
  }
  throw error
}

/** Mutants of any driver, of what is asked of it where the line breaks and callers leave. */
export const brokenLineMutants = (mutant: Make, { passesOn }: { readonly passesOn: boolean }): readonly Mutant[] => [
  mutant('line-breaks', 'takes a device that is silent for one that went back', ({ confirm }) => ({
    confirm: async (...args) => {
      try {
        return await confirm(...args)
      } catch (error) {
        if (!has(error, 'DEVICE_SILENT')) throw error
        return said('rolled-back')
      }
    },
  })),
  mutant('abort-during', 'looks once whether its caller has left, at the beginning of a delivery', ({ deliver }) => ({
    deliver: (plan, image, port, context) => {
      if (context.signal.aborted) return deliver(plan, image, port, context)
      const { signal } = new AbortController()
      return deliver(plan, image, passesOn ? passingOn(port, context.signal) : port, { ...context, signal })
    },
  })),
  mutant(
    'abort-install',
    'never tells a caller who has left',
    ({ install }) => ({
      install: async (plan, port, context) => {
        const isLate = !context.signal.aborted
        const observed = await install(plan, port, context).catch(async (error: unknown) => {
          if (isLate && context.signal.aborted) await never()
          throw error
        })
        return context.signal.aborted ? never() : observed
      },
    }),
    briefMs,
  ),
  mutant('hang', 'calls again where the port has ended a call', through(insisting), briefMs),
]
