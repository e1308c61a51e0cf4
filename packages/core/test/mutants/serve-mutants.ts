import { coreError, type Serving, type Transport } from '@reflash/core'
import { rightService, type ServiceHabits, streamOf } from '../support/transport/packet-service.ts'
import { packetReader } from '../support/transport/packets.ts'
import { briefMs, type Mutant, never } from './mutant.ts'
import { gatewayMutant, type Pulling, pullMutant, serviceMutant, servingMutant } from './transport-maker.ts'

/** How a transport serves. */
export const serveMutants: readonly Mutant[] = [
  servingMutant('serve/addresses', 'says where it is in words of its own', () => ({ addresses: ['here'] })),
  gatewayMutant('serve/checks-in', 'makes its own principal', ({ checkIn }) => ({
    checkIn: ({ deviceId }, ...said) => checkIn({ deviceId, by: 'anonymous' }, ...said),
  })),
  gatewayMutant('serve/idle', 'keeps the reasons to itself', ({ checkIn }) => ({
    checkIn: async (...said) => ({ ...(await checkIn(...said)), because: [] }),
  })),
  gatewayMutant('serve/said', 'trims what a device says', ({ checkIn }) => ({
    checkIn: (who, reported, ...said) =>
      checkIn(who, { ...reported, ...(reported?.model === undefined ? {} : { model: reported.model.trim() }) }, ...said),
  })),
  gatewayMutant('serve/evidence', 'takes evidence for text', ({ checkIn }) => ({
    checkIn: (who, reported, evidence, options) => {
      const body = new TextEncoder().encode(new TextDecoder().decode(evidence?.body))
      return checkIn(who, reported, evidence && { ...evidence, body }, options)
    },
  })),
  gatewayMutant('serve/cancels', 'does not tell that an offer is taken back', ({ checkIn }) => ({
    checkIn: async (...said) => {
      const { cancel: _, ...answer } = await checkIn(...said)
      return answer
    },
  })),
  gatewayMutant('serve/reports', 'forgets the messages of a report', ({ report }) => ({
    report: (who, offer, { messages: _, ...said }, options) => report(who, offer, said, options),
  })),
  gatewayMutant('serve/reports', 'takes a device that refuses to stop for one that has stopped', ({ report }) => ({
    report: (who, offer, said, options) =>
      report(who, offer, said.state === 'cancel-refused' ? { ...said, state: 'canceled' } : said, options),
  })),
  gatewayMutant(
    'serve/many',
    'asks the gateway once for all devices that come at the same time',
    ({ checkIn }) => {
      let running: ReturnType<typeof checkIn> | undefined
      return {
        checkIn: (...said) => {
          running ??= checkIn(...said).finally(() => {
            running = undefined
          })
          return running
        },
      }
    },
    { timeoutMs: briefMs },
  ),
  pullMutant('serve/abort-before', 'serves for a caller who has left', ({ serve }) => ({ serve: (context) => serve(context) })),
  pullMutant('serve/abort-after', 'ends a server with the signal that it was made under', ({ serve }) => ({
    serve: async (context, options) => {
      const serving = await serve(context, options)
      options?.signal?.addEventListener('abort', () => void serving[Symbol.asyncDispose]())
      return serving
    },
  })),
  pullMutant('serve/isolated', 'ends the servers of all its like with one', togetherEnded()),
  pullMutant('serve/again', 'serves once', ({ serve }) => {
    let isSpent = false
    return {
      serve: async (context, options) => {
        if (isSpent && options?.signal?.aborted !== true)
          throw coreError('DEVICE_SILENT', 'expected a new transport, found one that has served')
        isSpent = true
        return serve(context, options)
      },
    }
  }),
  pullMutant('serve/closed', 'goes on after it was closed', () => ({ close: async () => {} })),
]

function togetherEnded(): (right: Pulling) => Partial<Transport> {
  const servings = new Set<Serving>()
  return ({ serve }) => ({
    serve: async (context, options) => {
      const serving = await serve(context, options)
      servings.add(serving)
      return Object.freeze<Serving>({
        ...serving,
        [Symbol.asyncDispose]: async () => {
          for (const each of servings) await each[Symbol.asyncDispose]()
          servings.clear()
        },
      })
    },
  })
}

/** How images are sent. */
export const imageMutants: readonly Mutant[] = [
  serviceMutant('serve/image', 'sends no more than 256 KiB', {
    image: (body, size) => rightService.image(body, Math.min(size, 256 * 1024)),
  }),
  gatewayMutant('serve/image-forms', 'reads a file from its beginning', ({ read }) => ({
    read: async (...asked) => {
      const found = await read(...asked)
      return 'path' in found.body ? { ...found, body: { ...found.body, offset: 0 } } : found
    },
  })),
  gatewayMutant('serve/image-from', 'begins an image at its beginning, whatever was asked for', ({ read }) => ({
    read: (who, offer, component, options) => read(who, offer, component, { ...options, offset: 0 }),
  })),
  serviceMutant('serve/image-fails', 'fills up an image whose source fails', {
    async *image(body, size) {
      let left = size
      try {
        for await (const bytes of rightService.image(body, size)) {
          left -= bytes.length
          yield bytes
        }
      } catch {
        yield new Uint8Array(left)
      }
    },
  }),
  serviceMutant('serve/image-too-long', 'sends whatever its source gives', {
    async *image(body, size) {
      let sent = 0
      for await (const bytes of streamOf(body)) {
        sent += bytes.length
        if (bytes.length > 0) yield bytes
      }
      if (sent < size) throw coreError('TRUNCATED', `expected ${size} bytes, found ${sent}`)
    },
  }),
  serviceMutant('serve/image-left', 'keeps a source open whose reader has left', { drop: () => undefined }),
  serviceMutant('serve/image-stalled', 'reads an image as fast as its source gives it', { image: readAhead }),
  gatewayMutant('serve/sent', 'never says that an image was sent', () => ({ sent: async () => {} }), { reports: false }),
]

/** Fills a queue, whoever reads it. */
function readAhead(...[body, size]: Parameters<ServiceHabits['image']>): ReturnType<ServiceHabits['image']> {
  const source = rightService.image(body, size)[Symbol.asyncIterator]()
  const queue: Promise<IteratorResult<Uint8Array>>[] = []
  let isOver = false
  let wake: () => void = () => undefined
  const pump = async (): Promise<void> => {
    while (!isOver) {
      const step = source.next()
      queue.push(step)
      wake()
      isOver = await step.then(
        ({ done }) => done === true || isOver,
        () => true,
      )
    }
  }
  void pump()
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      while (queue.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return queue.shift() as Promise<IteratorResult<Uint8Array>>
    },
    async return() {
      isOver = true
      void source.return?.()
      if (Symbol.asyncIterator in body) void body[Symbol.asyncIterator]().return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

const { admit, refusal } = rightService

/** Who comes in, and what is said to whom. */
export const doorMutants: readonly Mutant[] = [
  serviceMutant('serve/unauthenticated', 'lets in whom nobody knows', {
    admit: (request, context, signal) => admit(request, context, signal).catch(() => ({ deviceId: request.id, by: 'anonymous' })),
  }),
  serviceMutant('serve/not-yours', 'takes a device for whom it says that it is', {
    async admit({ id, token }, { authenticators }, signal) {
      for (const authenticator of authenticators) {
        const who = await authenticator.authenticate({ claimedId: id, ...(token === undefined ? {} : { token }) }, { signal })
        if (who !== undefined) return { ...who, deviceId: id }
      }
      throw coreError('WRONG_DEVICE', 'expected a device that proves who it is, found one that does not')
    },
  }),
  pullMutant('serve/authenticators', 'asks the last authenticator first', ({ serve }) => ({
    serve: (context, options) => serve({ ...context, authenticators: context.authenticators.toReversed() }, options),
  })),
  serviceMutant('serve/authenticator-fails', 'asks the next authenticator where one fails', {
    async admit(request, context, signal) {
      for (const authenticator of context.authenticators) {
        const who = await admit(request, { ...context, authenticators: [authenticator] }, signal).catch(() => undefined)
        if (who !== undefined) return who
      }
      return admit(request, { ...context, authenticators: [] }, signal)
    },
  }),
  gatewayMutant('serve/peer-leaves', 'keeps to itself that a device has left', ({ checkIn }) => ({
    checkIn: (who, reported, evidence, { signal: _, ...options } = {}) => checkIn(who, reported, evidence, options),
  })),
  serviceMutant('serve/faults', 'says no where it means later', { refusal: (error) => ({ ...refusal(error), fault: 'rejected' }) }),
  serviceMutant('serve/faults-secret', 'tells everybody what went wrong', {
    refusal: (error) => ({ ...refusal(error), message: String(error) }),
  }),
  gatewayMutant(
    'serve/sync-throw',
    'leaves a device waiting where the gateway throws at once',
    ({ checkIn }) => ({
      checkIn: (...said) => {
        try {
          return checkIn(...said)
        } catch {
          return never()
        }
      },
    }),
    { timeoutMs: briefMs },
  ),
]

/** Clients that no device would be. */
export const hostileMutants: readonly Mutant[] = [
  serviceMutant('serve/raw', 'takes what comes at once for all that comes', {
    reader: (limitBytes) => (bytes) => packetReader(limitBytes)(bytes),
  }),
  serviceMutant('serve/damaged', 'lets a promise reject unseen over what is no JSON', { reader: rejecting }),
  serviceMutant('serve/stalled', 'has room for few connections, and gives them to whoever stalls', { connections: 18 }),
  serviceMutant('serve/huge', 'takes packets of any size', { packetBytes: Number.POSITIVE_INFINITY }),
  serviceMutant('serve/attacks', 'takes any word for a check-in', { isAsk: () => true }),
]

function rejecting(limitBytes: number): ReturnType<ServiceHabits['reader']> {
  const take = packetReader(limitBytes)
  return (bytes) => {
    const found = take(bytes)
    for (const one of found ?? []) {
      const text = new TextDecoder().decode(one)
      if (text !== 'more') void Promise.resolve(text).then(JSON.parse)
    }
    return found
  }
}

/** How a server ends. */
export const drainMutants: readonly Mutant[] = [
  servingMutant('serve/dispose-idle', 'serves on after its end', () => ({ [Symbol.asyncDispose]: async () => {} })),
  servingMutant('serve/dispose-twice', 'cannot end twice', (right) => {
    let isOver = false
    return {
      [Symbol.asyncDispose]: async () => {
        if (isOver) throw coreError('DEVICE_SILENT', 'expected a server that runs, found one that has ended')
        isOver = true
        await right[Symbol.asyncDispose]()
      },
    }
  }),
  serviceMutant('serve/drains', 'cuts what is under way when its end comes', { drainMs: 0 }),
  serviceMutant('serve/drains-image', 'cuts images when its end comes', { drainsImages: false }),
  serviceMutant('serve/drain-ends', 'waits for ever when its end comes', { drainMs: 2 ** 30 }, briefMs),
  serviceMutant('serve/drain-stalled', 'waits for readers for ever when its end comes', { cutsImages: false, idleMs: 900 }, briefMs),
]
