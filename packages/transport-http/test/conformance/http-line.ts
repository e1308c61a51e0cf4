import { connect, type Socket } from 'node:net'
import { OtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../../src/http-errors.ts'

/** The head of an answer. */
export interface Head {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly sizeBytes: number
}

/** One request and its answer over a connection of its own, which reads no further than it is asked to. */
export interface HttpLine {
  head(): Promise<Head>
  body(sizeBytes: number): AsyncGenerator<Uint8Array>
  leave(): void
}

const unreachable = (cause?: unknown): OtaError =>
  fail('SERVER_UNREACHABLE', 'expected an answer of the server, found the connection ended', { cause })

/** Sends a request; `heard` gets every byte that comes. */
export function httpLine(address: string, request: Uint8Array, heard: Uint8Array[], signal?: AbortSignal): HttpLine {
  throwIfAborted(signal)
  const { hostname, port } = new URL(address)
  const socket: Socket = connect(Number(port), hostname)
  const leave = (): void => void socket.destroy()
  signal?.addEventListener('abort', leave)
  socket.on('error', () => undefined)
  socket.write(request)
  const chunks = socket[Symbol.asyncIterator]()
  let rest = Buffer.alloc(0)

  async function more(): Promise<void> {
    try {
      const step = await chunks.next()
      if (step.done === true) throw unreachable()
      heard.push(step.value as Buffer)
      rest = Buffer.concat([rest, step.value as Buffer])
    } catch (error) {
      throwIfAborted(signal)
      throw error instanceof OtaError ? error : unreachable(error)
    }
  }

  return {
    leave,
    async head() {
      for (;;) {
        const end = rest.indexOf('\r\n\r\n')
        if (end >= 0) {
          const [first = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
          const pairs = lines.map(
            (line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const,
          )
          rest = rest.subarray(end + 4)
          const headers = Object.fromEntries(pairs)
          return { status: Number(first.split(' ')[1]), headers, sizeBytes: Number(headers['content-length'] ?? 0) }
        }
        await more()
      }
    },
    async *body(sizeBytes) {
      for (let left = sizeBytes; left > 0; ) {
        if (rest.length === 0) await more()
        const part = rest.subarray(0, left)
        rest = rest.subarray(part.length)
        left -= part.length
        yield new Uint8Array(part)
      }
    },
  }
}

/** What a device makes of a status. */
export function refusedBy(status: number, body: Uint8Array): OtaError {
  const shown = `expected an answer that goes well, found ${status}: ${new TextDecoder().decode(body).slice(0, 200)}`
  if (status === 503 || status === 408 || status === 429) return fail('SERVER_BUSY', shown)
  if (status === 501) return new OtaError('REQUEST_REFUSED', 'unsupported', shown)
  if (status >= 500) return new OtaError('REQUEST_REFUSED', 'internal', shown)
  return new OtaError('REQUEST_REFUSED', status === 401 || status === 403 ? 'rejected' : 'invalid', shown)
}
