import { fail } from './http-errors.ts'

/** Finite bounds of everything a stranger can ask for. Times in milliseconds. */
export interface HttpLimits {
  readonly maxConnections: number
  /** Request line and headers together. */
  readonly headerBytes: number
  /** Time for the whole head of a request, and for a TLS handshake. */
  readonly headersTimeoutMs: number
  /** Time for a whole request, body included. */
  readonly requestTimeoutMs: number
  /** Time without a byte in either direction while a request is answered. */
  readonly idleTimeoutMs: number
  /** Time that a connection stays open between two requests. */
  readonly keepAliveTimeoutMs: number
  /** How often the time-outs of heads and requests are looked at. */
  readonly checkIntervalMs: number
  readonly checkInBytes: number
  readonly reportBytes: number
  /** Ranges in one request; with more the whole image is sent. */
  readonly ranges: number
  /** Memory of all buffers between files and sockets together. */
  readonly bufferBytes: number
  /** A reader slower than this is cut off ... */
  readonly minBytesPerSecond: number
  /** ... once it has been so for this time. */
  readonly stallTimeoutMs: number
  /** A reader that takes nothing at all for this time is cut off while others wait for a buffer. */
  readonly pressedStallMs: number
  /** Requests of one connection that wait behind the one that is answered; a connection that sends more is cut. */
  readonly pipelined: number
  /** Time that running answers get when the server stops. */
  readonly drainMs: number
}

export const defaultHttpLimits: HttpLimits = Object.freeze({
  // An idle connection holds 14 kB, 73 kB with mTLS: 57 MB and 300 MB.
  maxConnections: 4096,
  // A token or a few proxy headers fit many times; Node's own 16 KiB doubles what a slow stranger can make us hold.
  headerBytes: 8 * 1024,
  // A device on 2G needs two seconds for a head; a slowloris gets no more than a fifth of a minute.
  headersTimeoutMs: 12_000,
  // 16 KiB at 2G's 1 KiB/s is 16 s; twice that.
  requestTimeoutMs: 32_000,
  // Longer than any round trip and any answer of a healthy gateway.
  idleTimeoutMs: 60_000,
  // Above the 60 s that load balancers commonly use, so that it is they who close and never a request that crosses our closing.
  keepAliveTimeoutMs: 65_000,
  // Time-outs are late by at most this much; a look costs microseconds per connection.
  checkIntervalMs: 2_000,
  // A full check-in with 4 certificates as evidence is 6 KB.
  checkInBytes: 16 * 1024,
  reportBytes: 16 * 1024,
  // esp_https_ota asks for one; multipart clients for a handful.
  ranges: 16,
  // 128 transfers at full speed, or 2048 slow ones; more take turns.
  bufferBytes: 32 * 1024 * 1024,
  // NB-IoT in bad reception still gets 1 KiB/s.
  minBytesPerSecond: 512,
  // Rides out a change of the radio cell.
  stallTimeoutMs: 30_000,
  // A radio that was lost for so long goes on where it was; stalled readers hold up others no longer than this.
  pressedStallMs: 10_000,
  // No client of a device sends a second request before its first answer; libraries that do, do with a handful.
  pipelined: 16,
  // Below the 30 s after which orchestrators commonly kill; a cut device resumes.
  drainMs: 20_000,
})

/** @throws `INVALID_OPTION` */
export function httpLimits(given: Partial<HttpLimits> = {}): HttpLimits {
  if (typeof given !== 'object' || given === null) throw fail('INVALID_OPTION', 'limits: expected an object, found another value')
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaultHttpLimits, name)) {
      throw fail(
        'INVALID_OPTION',
        `limits: expected some of ${Object.keys(defaultHttpLimits).join(', ')}; found ${JSON.stringify(name.slice(0, 100))}`,
      )
    }
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= (name === 'drainMs' ? 0 : 1) && value <= 2 ** 31 - 1)) {
      throw fail(
        'INVALID_OPTION',
        `limits.${name}: expected a whole number from 1 to 2147483647, found ${typeof value === 'number' ? value : 'no number'}`,
      )
    }
  }
  const limits = { ...defaultHttpLimits, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
  if (limits.headersTimeoutMs > limits.requestTimeoutMs) {
    throw fail(
      'INVALID_OPTION',
      `limits.headersTimeoutMs: expected at most requestTimeoutMs (${limits.requestTimeoutMs}), found ${limits.headersTimeoutMs}`,
    )
  }
  return Object.freeze(limits)
}
