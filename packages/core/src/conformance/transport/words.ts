import { ok } from 'node:assert/strict'
import { concat } from '../../content/byte-stream.ts'
import { digestOf } from '../../content/digest.ts'
import type { RunContext } from '../../plugin/plugin.ts'
import type { AgentPort, FlashPort } from '../../plugin/ports.ts'
import { expectBytes, sampleBytes } from '../content.ts'
import type { AgentDevice, FlashDevice, TransportInstance, WiredDevice } from '../transport-suite.ts'

export type PortKind = 'agent' | 'flash'
export type AnyPort = AgentPort | FlashPort

/** What can be said over a port of one kind, so that rules about the wire need not know which it is. */
export interface Words<D extends WiredDevice = WiredDevice, P extends AnyPort = AnyPort> {
  readonly kind: PortKind
  /** What the port must have. */
  readonly methods: readonly string[]
  device(instance: TransportInstance): (() => Promise<D>) | undefined
  /** A word that asks, and what the device itself says to it. */
  ask(port: P, context: RunContext): Promise<unknown>
  askedOf(device: D): Promise<unknown>
  /** A word that changes the device. */
  change(port: P, device: D, context: RunContext): Promise<unknown>
  /** Every word once, each good by itself. */
  each(port: P, device: D, context: RunContext): Readonly<Record<string, () => Promise<unknown>>>
  /** A whole exchange, from whatever another has left: two ways to do it, so that two devices can be told apart. */
  exchange(port: P, device: D, context: RunContext, way?: 0 | 1): Promise<void>
  /** Holds that a whole exchange has come to the device as it was meant. */
  arrived(what: string, device: D, way?: 0 | 1): Promise<void>
  /** All that can be seen of the device. */
  seen(device: D): Promise<Uint8Array>
}

/** Sends the chunks of an image, from an offset on, until `stop` says so. */
export async function sendChunks(
  port: AgentPort,
  image: Uint8Array,
  context: RunContext,
  { from = 0, chunkBytes = port.maxChunkBytes, chunks = Number.POSITIVE_INFINITY } = {},
): Promise<number> {
  let at = from
  for (let count = 0; at < image.length && count < chunks; count++) {
    const bytes = image.subarray(at, Math.min(at + chunkBytes, image.length))
    await port.write(at, bytes, context)
    at += bytes.length
  }
  return at
}

export function announced(image: Uint8Array) {
  return { digest: digestOf(image), size: image.length }
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

export const agentWords: Words<AgentDevice, AgentPort> = {
  kind: 'agent',
  methods: ['begin', 'write', 'activate', 'status'],
  device: ({ agent }) => agent,
  ask: (port, context) => port.status(context),
  askedOf: (device) => device.state(),
  change: (port, { images }, context) => port.begin(announced(images[0]), context),
  each: (port, { images }, context) => ({
    status: () => port.status(context),
    begin: () => port.begin(announced(images[0]), context),
    write: () => port.write(0, images[0].subarray(0, Math.min(port.maxChunkBytes, 16)), context),
    ...(port.missing === undefined
      ? {}
      : {
          missing: async () => {
            for await (const _ of port.missing?.(context) ?? []);
          },
        }),
    activate: () => port.activate(context),
  }),
  async exchange(port, { images }, context, way = 0) {
    const image = images[way]
    const { digest } = announced(image)
    // The answer to an earlier activate may have been lost.
    if ((await port.status(context)).installed?.digest === digest) return
    const { offset } = await port.begin(announced(image), context)
    await sendChunks(port, image, context, { from: offset })
    await port.activate(context)
  },
  async arrived(what, device, way = 0) {
    const found = await device.runs()
    ok(found !== undefined, `${what}: expected that the device has the image, found that it runs nothing`)
    expectBytes(`${what}: the image that the device runs`, found, device.images[way])
  },
  async seen(device) {
    return concat([await device.staged(), (await device.runs()) ?? new Uint8Array(), text(await device.state())])
  },
}

/** The block that the exchanges of a way write; each has its own, with a block between them. */
const blockOf = (way: 0 | 1): number => 2 + way * 3

export function patternOf(way: 0 | 1, { blockBytes }: Pick<FlashDevice, 'blockBytes'>): Uint8Array {
  return sampleBytes(blockBytes + 37, 11 + way)
}

export const flashWords: Words<FlashDevice, FlashPort> = {
  kind: 'flash',
  methods: ['read', 'erase', 'write', 'reset'],
  device: ({ flash }) => flash,
  ask: (port, context) => port.read(0, 64, context),
  askedOf: async (device) => (await device.content()).subarray(0, 64),
  change: (port, { blockBytes }, context) => port.erase(blockBytes, blockBytes, context),
  each: (port, { blockBytes }, context) => ({
    read: () => port.read(0, 16, context),
    erase: () => port.erase(blockBytes, blockBytes, context),
    write: () => port.write(blockBytes, new Uint8Array(16), context),
    ...(port.md5 === undefined ? {} : { md5: async () => port.md5?.(0, 16, context) }),
    reset: () => port.reset(context),
  }),
  async exchange(port, device, context, way = 0) {
    const { blockBytes } = device
    const pattern = patternOf(way, device)
    const offset = blockOf(way) * blockBytes
    await port.erase(offset, 2 * blockBytes, context)
    for (let at = 0; at < pattern.length; at += 1024) await port.write(offset + at, pattern.subarray(at, at + 1024), context)
    const found = await port.read(offset, pattern.length, context)
    expectBytes('what the port reads of what it has written', found, pattern)
  },
  async arrived(what, device, way = 0) {
    const pattern = patternOf(way, device)
    const offset = blockOf(way) * device.blockBytes
    expectBytes(`${what}: the flash`, (await device.content()).subarray(offset, offset + pattern.length), pattern)
  },
  seen: async (device) => concat([await device.content(), text(await device.resets())]),
}

/** By the port that a transport uses. */
export const wordsOf: Readonly<Record<PortKind, Words>> = { agent: agentWords, flash: flashWords }
