import { connect, type Socket } from 'node:net'

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function packet(head: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length: number[] = []
  for (let left = body.length; ; ) {
    const byte = left % 128
    left = Math.floor(left / 128)
    length.push(left > 0 ? byte | 0x80 : byte)
    if (left === 0) break
  }
  return Buffer.concat([Buffer.from([head, ...length]), body])
}

/** CONNECT of MQTT 3.1.1: clean, keepalive 60 s. */
export function connectPacket(clientId: string, username?: string, password?: string): Buffer {
  const flags = 0x02 | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40)
  const login = [username, password].flatMap((value) => (value === undefined ? [] : [text(value)]))
  return packet(0x10, text('MQTT'), Buffer.from([4, flags, 0, 60]), text(clientId), ...login)
}

export const subscribePacket = (filter: string): Buffer => packet(0x82, Buffer.from([0, 1]), text(filter), Buffer.from([0]))

export const publishPacket = (topic: string, payload: Uint8Array, retain = false, qos: 0 | 2 = 0): Buffer =>
  packet(0x30 | (qos << 1) | (retain ? 1 : 0), text(topic), ...(qos === 0 ? [] : [Buffer.from([0, 1])]), payload)

/** A TCP connection to a broker that sends whatever bytes it is told to. */
export function rawConnection(url: string): { readonly socket: Socket; readonly heard: () => Buffer; readonly closed: Promise<void> } {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return { socket, heard: () => Buffer.concat(chunks), closed }
}
