import { coreError, isOtaError, type Transport } from '@reflash/core'
import { isWhole } from '../support/transport/frame.ts'
import { briefMs, type Mutant, never } from './mutant.ts'
import { agentMutant, connectionMutant, flashMutant, lineMutant, type Pushing, pushMutant } from './transport-maker.ts'

const says = (error: unknown, words: string): boolean => isOtaError(error) && error.message.includes(words)
type Made = Awaited<ReturnType<Pushing['connect']>>

/** How a transport connects. */
export const connectMutants: readonly Mutant[] = [
  connectionMutant('connect/connects', 'says that another device is at the other end', () => ({
    principal: { deviceId: 'board-0', by: 'token' },
  })),
  agentMutant('connect/asks', 'forgets the model of the device', ({ status }) => ({
    status: async (context) => {
      const { model: _, ...state } = await status(context)
      return state
    },
  })),
  agentMutant('connect/exchanges', 'says that an image was activated, and tells nobody', () => ({ activate: async () => {} })),
  pushMutant(
    'connect/nobody',
    'waits for a device that nobody knows',
    ({ connect }) => ({ connect: (device, options) => connect(device, options).catch(never) }),
    briefMs,
  ),
  pushMutant('connect/two-devices', 'speaks to all devices over the line of the first', firstLine),
  pushMutant('connect/two-connections', 'ends a connection where another comes to the same device', ({ connect }) => {
    const open = new Map<string, Made>()
    return {
      connect: async (device, options) => {
        await open.get(device.id)?.[Symbol.asyncDispose]()
        const connection = await connect(device, options)
        open.set(device.id, connection)
        return connection
      },
    }
  }),
  pushMutant('connect/isolated', 'ends the connections of all its like when one is closed', togetherClosed()),
  pushMutant('connect/abort-before', 'connects for a caller who has left', ({ connect }) => ({ connect: (device) => connect(device) })),
  pushMutant('connect/abort-after', 'ends a connection with the signal that it was made under', ({ connect }) => ({
    connect: async (device, options) => {
      const connection = await connect(device, options)
      options?.signal?.addEventListener('abort', () => void connection[Symbol.asyncDispose]())
      return connection
    },
  })),
  connectionMutant('connect/disposed', 'goes on speaking after the end of its connection', () => ({
    [Symbol.asyncDispose]: async () => {},
  })),
  connectionMutant('connect/dispose-twice', 'cannot end a connection twice', (right) => {
    let isOver = false
    return {
      [Symbol.asyncDispose]: async () => {
        if (isOver) throw coreError('DEVICE_SILENT', 'expected a connection that is open, found one that has ended')
        isOver = true
        await right[Symbol.asyncDispose]()
      },
    }
  }),
  pushMutant('connect/again', 'opens a line to look, and leaves it open', ({ connect }) => ({
    connect: async (device, options) => {
      await connect(device, options)
      return connect(device, options)
    },
  })),
  pushMutant('connect/closed', 'goes on after it was closed', () => ({ close: async () => {} })),
  connectionMutant('connect/evidence', 'takes a challenge for text', ({ evidence }) => ({
    evidence: async (challenge, context) => {
      const text = new TextDecoder().decode(challenge)
      return (await evidence?.(new TextEncoder().encode(text), context)) as never
    },
  })),
]

/** Every device is spoken to over the line that was opened first and is still open. */
function firstLine({ connect }: Pushing): Partial<Transport> {
  let first: Made | undefined
  return {
    connect: async (device, options) => {
      const own = await connect(device, options)
      first ??= own
      const used = first
      return {
        ...own,
        port: { ...used.port, deviceId: device.id },
        [Symbol.asyncDispose]: async () => {
          if (used === own) first = undefined
          await own[Symbol.asyncDispose]()
        },
      } as Made
    },
  }
}

function togetherClosed(): (right: Pushing) => Partial<Transport> {
  const closes = new Set<() => Promise<void>>()
  return ({ close }) => {
    closes.add(close)
    return {
      close: async () => {
        for (const each of closes) await each()
      },
    }
  }
}

/** How a transport bears a line that breaks. */
export const brokenWireMutants: readonly Mutant[] = [
  agentMutant('connect/cut', 'calls a line that is cut its own fault', ({ status }) => ({
    status: (context) =>
      status(context).catch((error: unknown) => {
        throw says(error, 'the line broken') ? coreError('BROKEN_PLUGIN', 'expected a line, found none') : error
      }),
  })),
  lineMutant('connect/deaf', 'asks for ever where nobody answers', { tries: Number.POSITIVE_INFINITY }, 'flash', briefMs),
  flashMutant('connect/mute', 'takes silence for an answer', ({ erase }) => ({
    erase: (offset, length, context) =>
      erase(offset, length, context).catch((error: unknown) => {
        if (!says(error, 'found none in')) throw error
      }),
  })),
  lineMutant('connect/abort-during', 'lets nobody go before the device has answered', { heeds: false }),
  lineMutant('connect/dispose-busy', 'leaves a word waiting when its connection ends', { ends: false, tries: 60 }),
  lineMutant('connect/slow', 'has no patience', { againMs: 100, tries: 1 }),
  lineMutant('connect/duplicate', 'takes any answer for the one that it waits for', { matches: 'any', againMs: 200, tries: 3 }),
  lineMutant('connect/stale', 'knows an answer that comes twice in a row, and no other', { matches: 'not-twice', againMs: 200, tries: 3 }),
  lineMutant('connect/flip', 'does not check what it is told', { checks: () => true }),
  lineMutant('connect/truncate', 'checks nothing that is short', { checks: (frame) => frame.length < 48 || isWhole(frame) }, 'flash'),
  pushMutant('connect/next-to-cut', 'ends all connections where one breaks', ({ connect }) => {
    const open = new Set<Made>()
    return {
      connect: async (device, options) => {
        const connection = await connect(device, options)
        open.add(connection)
        const port = connection.port as { status(context: unknown): Promise<unknown> }
        const status = async (context: unknown): Promise<unknown> => {
          try {
            return await port.status(context)
          } catch (error) {
            if (says(error, 'the line broken')) for (const each of open) await each[Symbol.asyncDispose]()
            throw error
          }
        }
        return { ...connection, port: { ...port, status } } as Made
      },
    }
  }),
]
