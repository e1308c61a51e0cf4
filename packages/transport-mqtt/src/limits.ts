import { coreError } from '@reflash/core'
import { windowLimitBytes } from './wire/agent-answer.ts'
import { chunkLimitBytes, requestLimitBytes } from './wire/chunk.ts'
import { described } from './wire/json-message.ts'

/** Finite bounds of the connection to a broker. Times in milliseconds. */
export interface LineLimits {
  /** How long the first connection is tried for. */
  readonly connectMs: number
  readonly keepaliveSeconds: number
  /** The longest pause between two attempts to come back; the first is a twentieth of it. */
  readonly reconnectMs: number
  /** Messages with QoS 1 that the broker has not acknowledged. */
  readonly inflight: number
  /** Bytes of a message that the broker may send; told to it, which MQTT 3.1.1 cannot. */
  readonly packetBytes: number
}

/** Finite bounds of the transport. Times in milliseconds. */
export interface MqttLimits extends LineLimits {
  /** Time after which a device that is pushed to hears the same again; doubled each time, up to eight times of it. */
  readonly retryMs: number
  /** Time without a word from a device that is pushed to, until it counts as silent. */
  readonly silenceMs: number
  /** As `silenceMs`, while a device checks a whole image and switches to it. */
  readonly activateMs: number
  /** Bytes of a pushed chunk, if the device takes as many. */
  readonly chunkBytes: number
  /** Bytes under way to one device, if it takes as many. */
  readonly windowBytes: number
  /** Messages of devices that wait for their turn; of more, the device hears nothing and asks again. */
  readonly pendingMessages: number
  /** Of these, messages of one device. */
  readonly pendingOfDevice: number
  /** Messages that are worked on at once. */
  readonly concurrency: number
  /** Memory of all parts of images on their way to the broker. */
  readonly bufferBytes: number
  /** Time that running answers get when the server stops. */
  readonly drainMs: number
}

export const defaultLineLimits: LineLimits = Object.freeze({
  // A broker that restarts is back in less.
  connectMs: 10_000,
  // A line that broke without a word is noticed in 45 s; a ping every half minute keeps a NAT open.
  keepaliveSeconds: 30,
  // With jitter a fleet of 10,000 comes back with 500 connections a second.
  reconnectMs: 20_000,
  // Far above what one server has open; a broker that acknowledges nothing costs 64 MiB at most.
  inflight: 1024,
  // A full JSON message or chunk, and its topic.
  packetBytes: 128 * 1024,
})

export const defaultMqttLimits: MqttLimits = Object.freeze({
  ...defaultLineLimits,
  // Longer than a round trip over 2G, so that a healthy line repeats nothing.
  retryMs: 2_000,
  // Rides out a restart of the broker and a change of the radio cell.
  silenceMs: 30_000,
  // 4 MiB read back from slow flash and hashed, twice.
  activateMs: 120_000,
  // One flash sector of an ESP32; its network stack holds not many more.
  chunkBytes: 4096,
  // What 16 sectors are on the way at 1 MiB/s and 60 ms.
  windowBytes: 64 * 1024,
  // At 16 KiB each 16 MiB; a fleet of 10,000 that checks in once a minute has 170 a second.
  pendingMessages: 1024,
  // A check-in, a report and two parts of an image.
  pendingOfDevice: 8,
  concurrency: 32,
  // 32 parts of 256 KiB.
  bufferBytes: 8 * 1024 * 1024,
  // Below the 30 s after which orchestrators commonly kill.
  drainMs: 20_000,
})

const most: Readonly<Record<string, number>> = {
  chunkBytes: chunkLimitBytes,
  windowBytes: windowLimitBytes,
  inflight: 16_384,
  keepaliveSeconds: 65_535,
}

/** @throws `INVALID_OPTIONS` */
export function checkLimits<T extends object>(given: Partial<T> | undefined, defaults: T): T {
  const limits: Record<string, unknown> = { ...(defaults as object) }
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
    throw coreError('INVALID_OPTIONS', `limits: expected an object, found ${described(given)}`)
  }
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === undefined) continue
    if (!Object.hasOwn(defaults, name)) {
      throw coreError('INVALID_OPTIONS', `limits: expected some of ${Object.keys(defaults).join(', ')}, found another`)
    }
    const [least, largest] = [leastOf(name), most[name] ?? 2 ** 31 - 1]
    if (!(Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= largest)) {
      throw coreError('INVALID_OPTIONS', `limits.${name}: expected a whole number from ${least} to ${largest}, found ${described(value)}`)
    }
    limits[name] = value
  }
  return Object.freeze(limits) as T
}

function leastOf(name: string): number {
  if (name === 'drainMs') return 0
  // Below, one part of an image would never find room, or one message of a device never come through.
  if (name === 'bufferBytes') return requestLimitBytes
  return name === 'packetBytes' ? chunkLimitBytes : 1
}
