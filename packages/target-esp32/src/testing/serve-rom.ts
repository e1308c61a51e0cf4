import { createServer, type Socket } from 'node:net'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import type { VirtualRom } from './virtual-rom.ts'

export interface ServeRomOptions {
  /** `127.0.0.1` where absent. */
  readonly host?: string
  /** A free one where absent. */
  readonly port?: number
  /** Whether bytes take the time that they take on a line of the speed that the ROM is set to, ten bits each; false where absent. */
  readonly paced?: boolean
}

/** A virtual ROM that can be reached. */
export interface ServedRom extends AsyncDisposable {
  /** `socket://<host>:<port>`, as `serialTransport` and esptool take it. */
  readonly address: string
  /** Pulls the cable: whoever is connected is cut off; others may come. */
  unplug(): void
}

/** Serves a virtual ROM on a socket, to one at a time: a second one takes the line over. */
export async function serveRom(rom: VirtualRom, options: ServeRomOptions = {}): Promise<ServedRom> {
  const { host = '127.0.0.1', port = 0, paced = false } = options
  const open = new Set<Socket>()
  const unplug = (): void => {
    for (const socket of open) socket.destroy()
  }
  const server = createServer({ noDelay: true }, (socket) => {
    unplug()
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
    serve(rom, socket, paced).catch(() => socket.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return Object.freeze<ServedRom>({
    address: `socket://${host}:${typeof address === 'object' ? address?.port : port}`,
    unplug,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        unplug()
      }),
  })
}

/** Bytes that are taken off a paced line at a time: small beside a block, so that both directions run at once. */
const pieceBytes = 256

async function serve(rom: VirtualRom, socket: Socket, paced: boolean): Promise<void> {
  const [inward, outward] = [line(rom), line(rom)]
  let sending = Promise.resolve()
  const receive = rom.attach((bytes) => {
    if (!paced) {
      socket.write(bytes)
      return
    }
    const sent = outward(bytes.length, performance.now())
    sending = sending.then(() => sent).then(() => void socket.write(bytes))
  })
  for await (const chunk of socket as AsyncIterable<Uint8Array>) {
    if (!paced) await receive(chunk)
    // Bytes wait in the line's own buffers: those that came at once follow each other without a gap, however late a timer was.
    const since = performance.now()
    for (let at = 0; paced && at < chunk.length; at += pieceBytes) {
      const piece = chunk.subarray(at, at + pieceBytes)
      await inward(piece.length, since)
      await receive(piece)
    }
  }
}

/** One direction of a line: resolves when bytes that begin now, or behind those before them, have passed. */
function line(rom: VirtualRom): (bytes: number, since: number) => Promise<void> {
  let free = 0
  return async (bytes, since) => {
    const due = Math.max(since, free) + (bytes * 10_000) / rom.baud
    free = due
    for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
      // Timers come up to a millisecond late, which is as long as 90 bytes take.
      if (left > 2) await pause(left - 1.5)
      else await turn()
    }
  }
}
