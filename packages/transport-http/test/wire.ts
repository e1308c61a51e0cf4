import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

export interface WireAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly head: string
  readonly body: Buffer
}

/** A connection that speaks bytes, because fetch and node:http would tidy up what these tests are about. */
export interface Wire {
  readonly socket: Socket
  /** What has come and was not taken by `answer`. */
  readonly received: Buffer
  /** Sizes of the pieces in which it came. */
  readonly pieces: readonly number[]
  send(text: string | Uint8Array): void
  /** The next whole answer, by its Content-Length; `bodiless` for HEAD. */
  answer(bodiless?: boolean): Promise<WireAnswer>
  /** Resolves with all bytes once the server has closed. */
  closed(): Promise<Buffer>
  close(): void
}

export interface WireTls {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  readonly ciphers?: string
}

export async function wire(address: string, tls?: WireTls): Promise<Wire> {
  const { hostname, port } = new URL(address)
  const socket: Socket | TLSSocket =
    tls === undefined
      ? connect(Number(port), hostname)
      : connectTls({ host: hostname, port: Number(port), servername: 'localhost', ...tls })
  await new Promise((resolve, reject) => {
    socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve)
    socket.once('error', reject)
  })
  let chunks: Buffer[] = []
  let size = 0
  const received = (): Buffer => {
    // Joined only when somebody looks: a large image comes in thousands of chunks.
    if (chunks.length !== 1) chunks = [Buffer.concat(chunks)]
    return chunks[0] as Buffer
  }
  const pieces: number[] = []
  let wake: () => void = () => undefined
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    pieces.push(chunk.length)
    wake()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    ended = true
    wake()
  })
  const more = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
    })
  return {
    socket,
    pieces,
    get received() {
      return received()
    },
    send(text) {
      socket.write(text)
    },
    async answer(bodiless = false) {
      let needed = 0
      for (;;) {
        const parsed = size < needed ? undefined : parseAnswer(received(), bodiless)
        if (parsed?.answer !== undefined) {
          chunks = [received().subarray(parsed.size)]
          size -= parsed.size
          return parsed.answer
        }
        needed = parsed?.size ?? needed
        if (ended) throw new Error(`the server closed after ${JSON.stringify(received().toString('latin1').slice(0, 300))}`)
        await more()
      }
    },
    async closed() {
      while (!ended) await more()
      return received()
    },
    close() {
      socket.destroy()
    },
  }
}

/** Nothing until the head is there, then how many bytes it takes, then the answer. */
function parseAnswer(bytes: Buffer, bodiless: boolean): { readonly size: number; readonly answer?: WireAnswer } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = bytes.subarray(0, end + 4).toString('latin1')
  const [first = '', ...lines] = head.trimEnd().split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const size = end + 4 + (bodiless ? 0 : Number(headers['content-length'] ?? 0))
  if (bytes.length < size) return { size }
  const status = Number(first.split(' ')[1])
  return { size, answer: { status, headers, head, body: bytes.subarray(end + 4, size) } }
}

export function get(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): string {
  const lines = Object.entries({ Host: 'test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

export function post(path: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Buffer {
  const bytes = Buffer.from(body)
  const head = get(path, { 'Content-Type': 'application/json', 'Content-Length': String(bytes.length), ...headers }, 'POST')
  return Buffer.concat([Buffer.from(head), bytes])
}
