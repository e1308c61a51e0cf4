import { connect, type Socket } from 'node:net'
import { coreError, throwIfAborted } from '@reflash/core'
import type { SerialPort } from 'serialport'
import { fail } from '../esp32-errors.ts'
import type { LineListener, OpenLine, SerialLine } from './serial-line.ts'

/** Longer than a driver takes to open a port, shorter than a caller waits. */
const openTimeoutMs = 10_000

/**
 * Opens a port of this machine through the package `serialport`, which is loaded only now, or a socket to a server of serial ports.
 * @throws `SERIAL_ADDON_MISSING`, `SERIAL_UNAVAILABLE`, `INVALID_OPTIONS`, `ABORTED`
 */
export const openLine: OpenLine = async (path, { baud, signal }) => {
  throwIfAborted(signal)
  const address = /^socket:\/\/(?:\[([0-9a-fA-F:]+)\]|([^:/]+)):(\d{1,5})\/?$/.exec(path)
  if (address !== null) return await openSocket(path, (address[1] ?? address[2]) as string, Number(address[3]), signal)
  if (path.startsWith('socket:')) throw coreError('INVALID_OPTIONS', `port: expected socket://<host>:<port>, found ${path.slice(0, 100)}`)
  return await openPort(path, baud, signal)
}

async function openSocket(path: string, host: string, port: number, signal: AbortSignal): Promise<SerialLine> {
  if (port < 1 || port > 65_535) throw coreError('INVALID_OPTIONS', `port: expected one from 1 to 65535 in ${path}, found ${port}`)
  const socket = connect({ host, port, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', left)
      socket.off('error', settle).off('connect', connected)
      if (error === undefined) resolve()
      else {
        socket.on('error', () => undefined).destroy()
        reject(error)
      }
    }
    const connected = (): void => settle()
    const left = (): void => settle(abortedBy(signal))
    const timer = setTimeout(() => settle(new Error(`no connection within ${openTimeoutMs} ms`)), openTimeoutMs)
    signal.addEventListener('abort', left)
    socket.once('error', settle).once('connect', connected)
  }).catch((cause: unknown) => {
    throwIfAborted(signal)
    throw notOpened(path, cause)
  })
  return lineOf(
    socket,
    (bytes, done) => socket.write(bytes, done),
    async () => {
      socket.destroy()
    },
  )
}

function abortedBy({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

async function openPort(path: string, baud: number, signal: AbortSignal): Promise<SerialLine> {
  const port = await new Promise<SerialPort>((resolve, reject) => {
    loadSerialPort().then((Port) => {
      const made = new Port({ path, baudRate: baud, autoOpen: false, hupcl: false })
      made.open((error) => (error === null ? resolve(made) : reject(notOpened(path, error))))
    }, reject)
  })
  const close = () => new Promise<void>((resolve) => (port.isOpen ? port.close(() => resolve()) : resolve()))
  if (signal.aborted) {
    await close()
    throwIfAborted(signal)
  }
  const done = (call: (callback: (error: Error | null | undefined) => void) => void) =>
    new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())))
  return {
    ...lineOf(port, (bytes, written) => port.write(bytes, undefined, written), close),
    setBaud: (baudRate) => done((callback) => port.update({ baudRate }, callback)),
    setSignals: (signals) => done((callback) => port.set(signals, callback)),
  }
}

async function loadSerialPort(): Promise<typeof SerialPort> {
  try {
    return (await import('serialport')).SerialPort
  } catch (cause) {
    throw fail('SERIAL_ADDON_MISSING', 'expected the package serialport, which opens ports of this machine, found none that loads', {
      cause,
    })
  }
}

function notOpened(path: string, cause: unknown): Error {
  // serialport's messages begin with the name of their class.
  const found = (cause instanceof Error ? cause.message : String(cause)).replace(/^Error: /, '')
  return fail('SERIAL_UNAVAILABLE', `${path}: expected a serial port that can be opened, found ${found}`, { cause })
}

type Write = (bytes: Uint8Array, done: (error?: Error | null) => void) => unknown

function lineOf(stream: Socket | SerialPort, write: Write, close: () => Promise<void>): SerialLine {
  let listener: LineListener | undefined
  let isOver = false
  const over = (cause?: unknown): void => {
    if (isOver) return
    isOver = true
    listener?.ended(cause)
  }
  stream.on('data', (chunk: Uint8Array) => listener?.bytes(chunk))
  stream.on('error', over)
  stream.on('close', (cause?: unknown) => over(cause instanceof Error ? cause : undefined))
  stream.on('end', () => over())
  return {
    listen(to) {
      listener = to
      if (isOver) to.ended()
    },
    write: (bytes) => new Promise((resolve, reject) => write(bytes, (error) => (error ? reject(error) : resolve()))),
    close,
  }
}
