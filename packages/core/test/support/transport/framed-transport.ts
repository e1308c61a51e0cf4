import {
  type AgentPort,
  type CallOptions,
  type Connection,
  coreError,
  type Device,
  type DeviceState,
  type FlashPort,
  type RunContext,
  type Transport,
  throwIfAborted,
} from '@reflash/core'
import { type FramedLine, framedLine, type LineHabits, rightLine } from './framed-line.ts'
import type { Network } from './wired-devices.ts'

type Kind = 'agent' | 'flash'
type Made = Connection<'agent'> | Connection<'flash'>

/** Makes an honest transport for tests, which connects over framed lines. */
export function framedTransport(options: {
  readonly network: Network
  readonly uses: Kind
  readonly line?: Partial<LineHabits>
}): Transport {
  const { network, uses } = options
  const habits = { ...rightLine, ...options.line }
  const open = new Set<Made>()
  let isClosed = false

  async function connect({ id }: Device, { signal }: CallOptions = {}): Promise<Made> {
    throwIfAborted(signal)
    if (isClosed) throw coreError('DEVICE_SILENT', 'expected a transport that is open, found one that was closed')
    const wire = network.get(id)
    if (wire === undefined) throw coreError('DEVICE_SILENT', `expected device ${id}, found none of this name`)
    const line = framedLine(wire, id, habits)
    try {
      const { said } = await line.ask({ word: 'hello' }, undefined, signal)
      const port = uses === 'agent' ? agentOver(line, id, Number(said.maxChunkBytes)) : flashOver(line, id)
      const connection = {
        port,
        principal: { deviceId: id, by: 'token' },
        async evidence(challenge: Uint8Array, context: RunContext) {
          const { said: shown, bytes } = await line.ask({ word: 'evidence' }, challenge, context.signal)
          return { mediaType: String(shown.mediaType), body: bytes }
        },
        async [Symbol.asyncDispose]() {
          open.delete(connection)
          line.close()
        },
      } as Made
      open.add(connection)
      return connection
    } catch (error) {
      line.close()
      throw error
    }
  }

  return Object.freeze<Transport>({
    kind: 'transport',
    name: `framed ${uses}`,
    spec: 0,
    uses,
    connect: connect as NonNullable<Transport['connect']>,
    async close() {
      isClosed = true
      for (const connection of [...open]) await connection[Symbol.asyncDispose]()
    },
  })
}

function agentOver(line: FramedLine, deviceId: string, maxChunkBytes: number): AgentPort {
  let announced: { readonly digest: string; readonly size: number } | undefined
  return {
    deviceId,
    maxChunkBytes,
    async begin({ digest, size }, { signal }) {
      const { said } = await line.ask({ word: 'begin', digest, size }, undefined, signal)
      announced = { digest, size }
      return said.value as unknown as { readonly offset: number }
    },
    async write(offset, bytes, { signal }) {
      // JSON has no word for what is no number.
      if (!Number.isFinite(offset)) throw coreError('INVALID_RANGE', `device ${deviceId}: expected an offset in bytes, found ${offset}`)
      await line.ask({ word: 'write', offset }, bytes, signal)
    },
    async *missing({ signal }) {
      const { digest, size } = announced ?? { digest: '', size: 0 }
      const { said } = await line.ask(announced === undefined ? { word: 'status' } : { word: 'begin', digest, size }, undefined, signal)
      if (announced === undefined) return
      const { offset } = said.value as unknown as { readonly offset: number }
      if (offset < size) yield { offset, length: size - offset }
    },
    activate: async ({ signal }) => void (await line.ask({ word: 'activate' }, undefined, signal)),
    async status({ signal }) {
      return (await line.ask({ word: 'status' }, undefined, signal)).said.value as unknown as DeviceState
    },
    [Symbol.asyncDispose]: async () => line.close(),
  }
}

/** Bytes that go in one message. */
const pieceBytes = 2048

function flashOver(line: FramedLine, deviceId: string): FlashPort {
  return {
    deviceId,
    async read(offset, length, { signal }) {
      if (!(length > pieceBytes)) return (await line.ask({ word: 'read', offset, length }, undefined, signal)).bytes
      const found = new Uint8Array(length)
      for (let at = 0; at < length; at += pieceBytes) {
        const part = { word: 'read', offset: offset + at, length: Math.min(pieceBytes, length - at) }
        found.set((await line.ask(part, undefined, signal)).bytes, at)
      }
      return found
    },
    erase: async (offset, length, { signal }) => void (await line.ask({ word: 'erase', offset, length }, undefined, signal)),
    write: async (offset, bytes, { signal }) => void (await line.ask({ word: 'write', offset }, bytes, signal)),
    md5: async (offset, length, { signal }) => (await line.ask({ word: 'md5', offset, length }, undefined, signal)).bytes,
    reset: async ({ signal }) => void (await line.ask({ word: 'reset' }, undefined, signal)),
    [Symbol.asyncDispose]: async () => line.close(),
  }
}
