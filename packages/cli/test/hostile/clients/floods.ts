import { connect, type Socket } from 'node:net'
import { nativeClient } from '@reflash/transport-http/client'
import { chips, type FloodedServer, tokenOf } from './flooded-server.ts'

/** One kind of hostile client. */
export interface Flood {
  readonly name: string
  /** Open at a time. */
  readonly connections: number
  /** What each connection does once it is open. */
  readonly attack: (socket: Socket, index: number) => void
  /** Milliseconds between one connection and the next; all at once where absent. */
  readonly everyMs?: number
  /** Whether the server bears it for longer than a scene: what it holds is all that counts. */
  readonly isBorne?: boolean
}

export interface RunningFlood {
  readonly flood: Flood
  /** How many connections were opened, and how they ended. */
  readonly opened: number
  readonly ends: ReadonlyMap<string, number>
  /** Ends what is still open, which then counts as `open`. */
  stop(): void
}

export const strangers = 50
export const strangerId = (index: number): string => `stranger-${index % strangers}`
const auth = (index: number): string => `Authorization: Bearer ${tokenOf(strangerId(index))}\r\n`
const checkIn = (index: number): string =>
  `POST /v1/devices/${strangerId(index)}/check-in HTTP/1.1\r\nHost: h\r\n${auth(index)}Content-Type: application/json\r\n`
const image = (index: number): string =>
  `GET /v1/devices/${strangerId(index)}/offers/1/images/image HTTP/1.1\r\nHost: h\r\n${auth(index)}\r\n`

/** Writes for as long as the other side takes it. */
function endless(socket: Socket, begin: string, piece: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(piece));
  }
  socket.write(begin)
  socket.on('drain', more)
  more()
}

function drip(socket: Socket, begin: string): void {
  socket.write(begin)
  const timer = setInterval(() => socket.write('x'), 100)
  socket.on('close', () => clearInterval(timer))
}

function stalled(socket: Socket, index: number): void {
  socket.pause()
  socket.write(image(index))
}

const chunk = Buffer.from(`4000\r\n${' '.repeat(0x4000)}\r\n`)
const idle = JSON.stringify({ model: chips.strangers, installed: { version: '1.0.0' } })

export const floods: readonly Flood[] = [
  {
    name: 'a head, a byte now and then',
    connections: 300,
    attack: (socket) => drip(socket, 'GET /health HTTP/1.1\r\nHost: h\r\nX-Slow: '),
  },
  {
    name: 'a body, a byte now and then',
    connections: 300,
    attack: (socket, index) => drip(socket, `${checkIn(index)}Content-Length: 8000\r\n\r\n{`),
  },
  {
    name: 'headers without end',
    connections: 50,
    attack: (socket) => endless(socket, 'GET /health HTTP/1.1\r\nHost: h\r\n', Buffer.from('a: b\r\n'.repeat(1000))),
  },
  {
    name: 'one header without end',
    connections: 50,
    attack: (socket) => endless(socket, 'GET /health HTTP/1.1\r\nHost: h\r\nX-Large: ', Buffer.alloc(64 * 1024, 0x78)),
  },
  {
    name: 'a body without end',
    connections: 50,
    attack: (socket, index) => endless(socket, `${checkIn(index)}Transfer-Encoding: chunked\r\n\r\n`, chunk),
  },
  {
    name: 'a length of 10 GB',
    connections: 50,
    attack: (socket, index) => endless(socket, `${checkIn(index)}Content-Length: 10000000000\r\n\r\n`, chunk),
  },
  {
    name: 'more bytes than the length says',
    connections: 50,
    attack: (socket, index) => endless(socket, `${checkIn(index)}Content-Length: 2\r\n\r\n{}`, Buffer.alloc(64 * 1024, 0x78)),
  },
  {
    name: 'fewer bytes than the length says',
    connections: 300,
    attack: (socket, index) => void socket.write(`${checkIn(index)}Content-Length: 1000\r\n\r\n{`),
  },
  {
    name: 'check-ins without end on one connection, whose answers nobody reads',
    connections: 20,
    attack: (socket, index) => {
      socket.pause()
      endless(socket, '', Buffer.from(`${checkIn(index)}Content-Length: ${idle.length}\r\n\r\n${idle}`.repeat(200)))
    },
  },
  {
    name: 'check-ins without end on one connection, whose answers are read',
    connections: 20,
    attack: (socket, index) =>
      endless(socket, '', Buffer.from(`${checkIn(index)}Content-Length: ${idle.length}\r\n\r\n${idle}`.repeat(200))),
  },
  {
    name: 'requests for an image without end on one connection',
    connections: 20,
    attack: (socket, index) => {
      socket.pause()
      endless(socket, '', Buffer.from(image(index).repeat(200)))
    },
  },
  {
    name: 'nothing at all',
    connections: 500,
    attack: () => {},
  },
  {
    name: 'half a head',
    connections: 500,
    attack: (socket) => void socket.write('GET /health HTTP/1.1\r\nHost: h\r\n'),
  },
  { name: 'downloads that nobody reads', connections: 500, attack: stalled, isBorne: true },
  // Each is fast until the kernel's buffers are full, and so gets the largest of ours.
  { name: 'downloads that nobody reads, one after another', connections: 200, everyMs: 10, attack: stalled, isBorne: true },
]

/** Gets every stranger an offer, so that it may download. */
export async function offerStrangers({ url }: FloodedServer): Promise<void> {
  for (let index = 0; index < strangers; index++) {
    const id = strangerId(index)
    const client = nativeClient({ server: url, deviceId: id, token: tokenOf(id) })
    const attributes = { slotBytes: 16 * 1024 * 1024, otaSlots: 2 }
    const answer = await client.checkIn({ model: chips.strangers, installed: { version: '0.9.0' }, attributes })
    client.close()
    if (answer.offer?.seq !== 1) throw new Error(`expected an offer for ${id}, found ${JSON.stringify(answer.because)}`)
  }
}

/** An attacker that is told no comes again, at a pace that leaves this process some time of its own. */
const againMs = 50

/** Opens the connections, and each again that ends. */
export function startFlood(flood: Flood, { host, port }: FloodedServer): RunningFlood {
  const ends = new Map<string, number>()
  const sockets = new Set<Socket>()
  let opened = 0
  let stopped = false
  const count = (end: string): void => void ends.set(end, (ends.get(end) ?? 0) + 1)

  function open(index: number): void {
    if (stopped) return
    const socket = connect(port, host)
    let first = ''
    let connected = false
    sockets.add(socket)
    socket.on('connect', () => {
      connected = true
      opened += 1
      flood.attack(socket, index)
    })
    // Only the first line counts; what follows is thrown away.
    socket.on('data', (bytes) => {
      if (first.length < 12) first += bytes.subarray(0, 12).toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      if (stopped) return
      count(connected ? (/^HTTP\/1\.1 (\d+)/.exec(first)?.[1] ?? 'cut') : 'refused')
      setTimeout(() => open(index), againMs)
    })
  }

  for (let index = 0; index < flood.connections; index++) setTimeout(() => open(index), index * (flood.everyMs ?? 0))
  return {
    flood,
    get opened() {
      return opened
    },
    ends,
    stop() {
      stopped = true
      if (sockets.size > 0) ends.set('open', sockets.size)
      for (const socket of sockets) socket.destroy()
    },
  }
}
