import { checkLimits, defaultLineLimits, type LineLimits } from '../limits.ts'
import { chunkLimitBytes, requestLimitBytes } from '../wire/chunk.ts'

/** Finite bounds of the client. Times in milliseconds. */
export interface MqttClientLimits extends LineLimits {
  /** Time after which a question is asked again; doubled each time, up to eight times of it. */
  readonly retryMs: number
  /** Time after which a question is given up, or a download that brings no new byte. */
  readonly silenceMs: number
  /** Bytes of one chunk that is asked for. */
  readonly chunkBytes: number
  /** Bytes of an image that are asked for at once; twice as many are under way. */
  readonly requestBytes: number
  /** Bytes of a pushed image that are held until those before them have come. */
  readonly windowBytes: number
  /** Words of servers that wait for their turn. */
  readonly pendingCommands: number
}

const defaults: MqttClientLimits = Object.freeze({
  ...defaultLineLimits,
  // Longer than a round trip over 2G, so that a healthy line repeats nothing.
  retryMs: 2_000,
  // Rides out a restart of the broker and of the server.
  silenceMs: 60_000,
  // What a device with little memory takes at once; large beside the head.
  chunkBytes: 16 * 1024,
  // The most that a server gives at once; half a megabyte with two of them under way, for a device that has a Node runtime.
  requestBytes: requestLimitBytes,
  windowBytes: 64 * 1024,
  pendingCommands: 32,
})

/** @throws `INVALID_OPTIONS` */
export function checkClientLimits(given: Partial<MqttClientLimits> | undefined): MqttClientLimits {
  const limits = checkLimits(given, defaults)
  return {
    ...limits,
    chunkBytes: Math.min(Math.max(limits.chunkBytes, 256), chunkLimitBytes),
    requestBytes: Math.min(limits.requestBytes, requestLimitBytes),
  }
}
