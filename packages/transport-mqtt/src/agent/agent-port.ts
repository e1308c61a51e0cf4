import { type AgentPort, coreError, type RunContext, throwIfAborted } from '@reflash/core'
import type { MqttLimits } from '../limits.ts'
import { type Hello, missingRanges } from '../wire/agent-answer.ts'
import type { AgentLink } from './agent-link.ts'
import { beginTransfer, type Transfer } from './transfer.ts'

export interface AgentPortOptions {
  readonly link: AgentLink
  readonly hello: Hello
  readonly limits: MqttLimits
  readonly dispose: () => Promise<void>
}

/**
 * The `agent` port of a device over MQTT. A write is cut into chunks, as many of which are under way as the device holds, and ends when the
 * device has stored them all. One word after the other: a second waits for the first.
 */
export function agentPort({ link, hello, limits, dispose }: AgentPortOptions): AgentPort {
  const { deviceId } = link
  const chunkBytes = Math.min(limits.chunkBytes, hello.chunkBytes)
  const windowBytes = Math.max(chunkBytes, Math.min(limits.windowBytes, hello.windowBytes))
  let transfer: Transfer | undefined
  let last: Promise<unknown> = Promise.resolve()

  function inTurn<T>({ signal }: RunContext, act: () => Promise<T>): Promise<T> {
    const before = last
    const turn = new Promise<void>((resolve, reject) => {
      const stop = link.untilEnd(signal, reject)
      void before.then(() => {
        stop()
        resolve()
      })
    })
    const done = turn.then(() => {
      throwIfAborted(signal)
      return act()
    })
    // Who leaves while waiting does not let the next one pass the first.
    last = Promise.allSettled([before, done])
    return done
  }

  const quick = ({ signal }: RunContext) => ({ signal, silenceMs: limits.silenceMs })

  function expectPlace(offset: number, bytes: Uint8Array): Transfer {
    if (transfer === undefined) throw coreError('INVALID_RANGE', `device ${deviceId}: expected begin() before write(), found none`)
    const { next, size } = transfer
    const room = Math.min(windowBytes, size - next)
    if (offset === next && bytes.length > 0 && bytes.length <= room) return transfer
    const found = `${bytes.length} at ${offset}`
    throw coreError('INVALID_RANGE', `device ${deviceId}: expected 1 to ${room} bytes at ${next}, found ${found}`)
  }

  const port: AgentPort = {
    deviceId,
    maxChunkBytes: windowBytes,
    begin: async ({ digest, size }, context) => {
      throwIfAborted(context.signal)
      return inTurn(context, async () => {
        transfer = undefined
        const begun = await beginTransfer({ link, limits, chunkBytes, windowBytes, image: { digest, size } }, quick(context))
        transfer = begun
        return { offset: begun.next }
      })
    },
    write: async (offset, bytes, context) => {
      throwIfAborted(context.signal)
      return inTurn(context, async () => {
        const to = expectPlace(offset, bytes)
        try {
          await to.write(bytes, context.signal)
        } catch (error) {
          // How much of it has arrived is not known: the next begin() says.
          transfer = undefined
          throw error
        }
      })
    },
    activate: async (context) => {
      throwIfAborted(context.signal)
      return inTurn(context, async () => {
        const { signal } = context
        const digest = transfer?.digest
        await link.call({ do: 'activate', ...(digest === undefined ? {} : { digest }) }, { signal, silenceMs: limits.activateMs })
        transfer = undefined
      })
    },
    status: async (context) => {
      throwIfAborted(context.signal)
      return inTurn(context, async () => ({ id: deviceId, ...(await link.call({ do: 'status' }, quick(context))) }))
    },
    ...(hello.can.includes('missing') ? { missing } : {}),
    [Symbol.asyncDispose]: dispose,
  }

  async function* missing(context: RunContext): AsyncIterable<{ readonly offset: number; readonly length: number }> {
    throwIfAborted(context.signal)
    const size = transfer?.size
    if (size === undefined) throw coreError('INVALID_RANGE', `device ${deviceId}: expected begin() before missing(), found none`)
    const found = await inTurn(context, () => link.call({ do: 'missing' }, quick(context)))
    yield* missingRanges(found, size)
  }

  return Object.freeze(port)
}
