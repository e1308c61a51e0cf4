import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** What the published client (esp32-home-sensor) makes of an update. */
export interface OtafluxResult {
  readonly version: string
  readonly crc32: number
  readonly size: number
  /** What it wrote to its slot, 4-byte aligned; absent where the version was not greater than its own. */
  readonly flash?: Buffer
  /** How many reads it took to get the answer to /version. */
  readonly reads: number
}

/** Bytes of the buffer that the client has for a head, and for the whole answer to /version. */
const bufferBytes = 1024

/**
 * The published client, byte for byte on the wire: a leading CRLF before each request line; at most 1024 bytes of an answer, until the head is
 * complete and the body has two line ends; then /firmware on the same connection with `Connection: close`, whose body ends with the
 * connection; no chunks, no Content-Length, no CRC; writes of whole words, padded with 0xFF. TLS 1.3 with AES-128-GCM only, which verifies nothing.
 */
export async function otafluxDevice(server: string, id: string, running: string): Promise<OtafluxResult> {
  const { hostname, port, protocol } = new URL(server)
  const tls = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256', rejectUnauthorized: false } as const
  const socket: Socket =
    protocol === 'https:' ? connectTls({ host: hostname, port: Number(port), ...tls }) : connect(Number(port), hostname)
  const read = reader(socket)
  try {
    socket.write(`\r\nGET /version?device=${id} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: keep-alive\r\n\r\n`)
    const { body, reads } = await readVersion(read)
    const [version = '', crc32, size] = body.split('\n')
    const told = { version, crc32: Number(crc32), size: parseDecimal(size), reads }
    if (!greater(version, running)) return told
    socket.write(`\r\nGET /firmware?device=${id} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`)
    return { ...told, flash: await readFirmware(read, told.size) }
  } finally {
    socket.destroy()
  }
}

type Read = (limit: number) => Promise<Buffer | undefined>

async function readVersion(read: Read): Promise<{ readonly body: string; readonly reads: number }> {
  let buffer = Buffer.alloc(0)
  for (let reads = 1; buffer.length < bufferBytes; reads++) {
    const more = await read(bufferBytes - buffer.length)
    if (more === undefined) throw new Error('the connection ended')
    buffer = Buffer.concat([buffer, more])
    const end = buffer.indexOf('\r\n\r\n')
    if (end < 0) continue
    const body = buffer.subarray(end + 4).toString('latin1')
    if (body.split('\n').length > 2) return { body, reads }
  }
  throw new Error('the answer does not fit in 1024 bytes')
}

async function readFirmware(read: Read, size: number): Promise<Buffer> {
  let head = Buffer.alloc(0)
  let end = -1
  while (end < 0) {
    if (head.length >= bufferBytes) throw new Error('the head does not fit in 1024 bytes')
    const more = await read(bufferBytes - head.length)
    if (more === undefined) throw new Error('the connection ended')
    head = Buffer.concat([head, more])
    end = head.indexOf('\r\n\r\n')
  }
  // The client divides by a tenth of the size and panics at zero.
  if (Math.floor(size / 10) === 0) throw new Error('attempt to calculate the remainder with a divisor of zero')
  const flash: Buffer[] = []
  let pending = head.subarray(end + 4)
  let received = pending.length
  for (;;) {
    const whole = pending.length - (pending.length % 4)
    flash.push(pending.subarray(0, whole))
    pending = pending.subarray(whole)
    const more = await read(4096)
    if (more === undefined) break
    received += more.length
    pending = Buffer.concat([pending, more])
  }
  if (received !== size) throw new Error(`expected ${size} bytes, found ${received}`)
  if (pending.length > 0) flash.push(Buffer.concat([pending, Buffer.alloc(4 - pending.length, 0xff)]))
  return Buffer.concat(flash)
}

/** A `usize` as Rust reads it. */
function parseDecimal(text: string | undefined): number {
  if (text === undefined || !/^\+?\d+$/.test(text)) throw new Error(`invalid digit found in ${JSON.stringify(text)}`)
  return Number(text)
}

/** Its grammar: an optional v, three numbers, alpha < beta < rc < other < stable. */
function greater(offered: string, running: string): boolean {
  const [a, b] = [rank(offered), rank(running)]
  for (let index = 0; index < a.length; index++) {
    const difference = (a[index] as number) - (b[index] as number)
    if (difference !== 0) return difference > 0
  }
  return false
}

function rank(version: string): readonly number[] {
  const match = /^v?(\d+)\.(\d+)\.(\d+)(?:-([a-z]+)[.-]?(\d*))?/.exec(version)
  if (match === null) throw new Error(`not a version: ${JSON.stringify(version)}`)
  const [, major, minor, patch, stage, number] = match
  const order = stage === undefined ? 4 : (({ alpha: 0, beta: 1, rc: 2 } as Record<string, number>)[stage] ?? 3)
  return [Number(major), Number(minor), Number(patch), order, Number(number ?? 0)]
}

/** Reads like a socket of the device: at most `limit` bytes, undefined at the end. */
function reader(socket: Socket): Read {
  const chunks: Buffer[] = []
  let ended = false
  let failure: Error | undefined
  let wake: () => void = () => undefined
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    wake()
  })
  socket.on('error', (error) => {
    failure = error
  })
  socket.on('close', () => {
    ended = true
    wake()
  })
  return async (limit) => {
    while (chunks.length === 0) {
      if (failure !== undefined) throw failure
      if (ended) return undefined
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const chunk = chunks[0] as Buffer
    if (chunk.length <= limit) return chunks.shift()
    chunks[0] = chunk.subarray(limit)
    return chunk.subarray(0, limit)
  }
}
