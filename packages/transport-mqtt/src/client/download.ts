import { aborted, type ByteStream, coreError, throwIfAborted } from '@reflash/core'
import type { BrokerLine } from '../broker-line.ts'
import { fail } from '../mqtt-errors.ts'
import type { Answer } from '../wire/answer.ts'
import { bitmapOf } from '../wire/bitmap.ts'
import type { MqttComponent } from '../wire/check-in-answer.ts'
import type { Chunk } from '../wire/chunk.ts'
import { encodeImageRequest } from '../wire/image-request.ts'
import type { MqttClientLimits } from './client-limits.ts'
import { questionNumber } from './questions.ts'
import { serverRefusal } from './server-refusal.ts'

export interface MqttDownloadOptions {
  /** Bytes that the device already has of exactly this image. */
  readonly offset?: number
  readonly signal?: AbortSignal
  readonly progress?: (done: number, total: number) => void
}

/** What came for one download. */
export interface DownloadEars {
  chunk(chunk: Chunk): void
  answer(answer: Answer): void
  close(): void
}

export interface DownloadScene {
  readonly line: BrokerLine
  readonly topic: string
  readonly token: string | undefined
  readonly limits: MqttClientLimits
  /** Listens under a number; returns how to stop. */
  listen(re: number, ears: DownloadEars): () => void
}

/** A part of the image that was asked for. */
interface Part {
  readonly re: number
  readonly offset: number
  readonly length: number
  /** Chunks that came, by their number in the part, until they are read. */
  readonly chunks: Map<number, Uint8Array>
  /** Chunks that came, whether they were read or not. */
  readonly have: Set<number>
  askedMs: number
  pauseMs: number
  stop: () => void
}

/** Parts under way at once: while one is read, the next one travels. */
const ahead = 2
/** Between two attempts the pause grows up to so many times. */
const slowest = 8

/**
 * The bytes of one image from `offset` on, asked for part by part and chunk by chunk where some stay away, through restarts of broker and
 * server. A chunk whose CRC-32 is wrong counts as missing. Whether it is the right image is the device's to check.
 * @throws `MQTT_SERVER_SILENT`, `MQTT_SERVER_REFUSED`, `MQTT_REQUEST_REFUSED`, `CONNECTION_CLOSED`, `ABORTED`
 */
export async function* download(
  open: () => Promise<DownloadScene>,
  seq: number,
  component: MqttComponent,
  options: MqttDownloadOptions,
): ByteStream {
  const { size } = component
  const { offset = 0, signal, progress } = options
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw coreError('INVALID_RANGE', `offset: expected a number from 0 to ${size}, found ${offset}`)
  }
  throwIfAborted(signal)
  const scene = await open()
  const { limits, line } = scene
  const parts: Part[] = []
  const bell = doorbell(limits.retryMs / 2)
  let failure: Error | undefined
  let isLater = false
  let asked = offset
  let at = offset
  let progressMs = performance.now()

  const ask = (part: Part): void => {
    part.askedMs = performance.now()
    const { re, offset, length } = part
    const { token } = scene
    const have = bitmapOf(part.have)
    const request = { re, seq, component: component.component, offset, length, chunkBytes: limits.chunkBytes, have }
    const payload = encodeImageRequest(token === undefined ? request : { ...request, token })
    // Without an acknowledgement of the broker: what does not come is asked for again in any case.
    if (line.isConnected) line.publish(scene.topic, payload, { qos: 0 }).catch(() => undefined)
  }

  const begin = (): void => {
    const part: Part = {
      re: questionNumber(),
      offset: asked,
      length: Math.min(limits.requestBytes, size - asked),
      chunks: new Map(),
      have: new Set(),
      askedMs: 0,
      pauseMs: limits.retryMs,
      stop: () => {},
    }
    part.stop = scene.listen(part.re, {
      chunk: (chunk) => {
        if (keep(part, chunk, limits.chunkBytes)) bell.ring()
      },
      answer: ({ error }) => {
        if (error === undefined) return
        // Later is later: asked again when its time has come.
        if (error.fault === 'unavailable' || error.fault === 'internal' || error.fault === 'aborted') isLater = true
        else failure = serverRefusal(error)
        bell.ring()
      },
      close: () => {
        failure = fail('CONNECTION_CLOSED', 'expected an open client, found that it was closed')
        bell.ring()
      },
    })
    asked += part.length
    parts.push(part)
    ask(part)
  }

  const again = (): void => {
    for (const part of parts) {
      part.pauseMs = limits.retryMs
      ask(part)
    }
  }
  const left = (): void => bell.ring()
  const stopReturn = line.onReturn(again)
  signal?.addEventListener('abort', left)
  try {
    while (at < size) {
      if (signal?.aborted) throw aborted(signal)
      if (failure !== undefined) throw failure
      while (parts.length < ahead && asked < size) begin()
      const part = parts[0] as Part
      const index = Math.floor((at - part.offset) / limits.chunkBytes)
      const bytes = part.chunks.get(index)
      if (bytes !== undefined) {
        part.chunks.delete(index)
        at += bytes.length
        progressMs = performance.now()
        if (at === part.offset + part.length) {
          part.stop()
          parts.shift()
        }
        progress?.(at, size)
        yield bytes
        continue
      }
      const now = performance.now()
      if (now - progressMs >= limits.silenceMs) throw silent(at, size, limits.silenceMs, isLater)
      for (const one of parts) {
        if (now - one.askedMs < one.pauseMs || one.have.size * limits.chunkBytes >= one.length) continue
        one.pauseMs = Math.min(one.pauseMs * 2, limits.retryMs * slowest)
        ask(one)
      }
      await bell.rung()
    }
  } finally {
    bell.close()
    stopReturn()
    signal?.removeEventListener('abort', left)
    for (const { stop } of parts) stop()
  }
}

/** Keeps a chunk that is one of the part and not there yet; says whether it did. A late part is not brought forward by it. */
function keep(part: Part, { offset, bytes }: Chunk, chunkBytes: number): boolean {
  const index = (offset - part.offset) / chunkBytes
  const expected = Math.min(chunkBytes, part.length - index * chunkBytes)
  if (!Number.isInteger(index) || index < 0 || bytes.length !== expected || part.have.has(index)) return false
  part.have.add(index)
  part.chunks.set(index, bytes)
  // While chunks come, nothing is late.
  part.askedMs = performance.now()
  return true
}

function silent(at: number, size: number, silenceMs: number, isLater: boolean): Error {
  const message = `expected ${size} bytes, found none after ${at} within ${silenceMs} ms`
  return fail(isLater ? 'MQTT_SERVER_BUSY' : 'MQTT_SERVER_SILENT', message, { details: { received: at, size } })
}

/** Waits until it is rung, which it is at least every so often. A ring that nobody waits for is kept. One timer, because chunks are many. */
function doorbell(everyMs: number): { ring(): void; rung(): Promise<void>; close(): void } {
  let isRung = false
  let wake: (() => void) | undefined
  const ring = (): void => {
    isRung = true
    wake?.()
  }
  const timer = setInterval(ring, everyMs)
  return {
    ring,
    rung() {
      return new Promise((resolve) => {
        wake = () => {
          wake = undefined
          isRung = false
          resolve()
        }
        if (isRung) wake()
      })
    },
    close: () => clearInterval(timer),
  }
}
