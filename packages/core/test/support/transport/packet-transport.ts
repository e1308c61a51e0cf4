import { type CallOptions, coreError, type ServeContext, type Serving, type Transport, throwIfAborted } from '@reflash/core'
import type { ByteChannel, Harbour } from './channels.ts'
import { answerChannel, rightService, type ServiceHabits } from './packet-service.ts'

/** Makes an honest transport for tests, which serves packets to devices that pull. */
export function packetTransport(options: { readonly harbour: Harbour; readonly service?: Partial<ServiceHabits> }): Transport {
  const { harbour } = options
  const habits = { ...rightService, ...options.service }
  const running = new Set<Serving>()
  let isClosed = false

  async function serve(context: ServeContext, { signal }: CallOptions = {}): Promise<Serving> {
    throwIfAborted(signal)
    if (isClosed) throw coreError('DEVICE_SILENT', 'expected a transport that is open, found one that was closed')
    const channels = new Set<ReturnType<typeof answerChannel>>()
    const { address, close } = harbour.listen((channel: ByteChannel) => {
      if (channels.size >= habits.connections) return channel.close()
      const answering = answerChannel(channel, context, habits)
      channels.add(answering)
      void answering.done.finally(() => channels.delete(answering))
    })
    let ended: Promise<void> | undefined
    async function drain(): Promise<void> {
      close()
      for (const channel of channels) channel.drain()
      const late = setTimeout(() => {
        for (const channel of channels) channel.cut()
      }, habits.drainMs)
      await Promise.all([...channels].map(({ done }) => done))
      clearTimeout(late)
      running.delete(serving)
    }
    const serving = Object.freeze<Serving>({
      addresses: [address],
      [Symbol.asyncDispose]() {
        ended ??= drain()
        return ended
      },
    })
    running.add(serving)
    return serving
  }

  return Object.freeze<Transport>({
    kind: 'transport',
    name: 'packets',
    spec: 0,
    serve,
    async close() {
      isClosed = true
      for (const serving of [...running]) await serving[Symbol.asyncDispose]()
    },
  })
}
