import { randomInt } from 'node:crypto'
import { coreError, type Digest } from '@reflash/core'
import type { MqttLimits } from '../limits.ts'
import { fail } from '../mqtt-errors.ts'
import type { ChunkAck } from '../wire/chunk-ack.ts'
import type { AgentLink, CallSettings } from './agent-link.ts'
import { type ChunkWindow, chunkWindow } from './chunk-window.ts'

/** An image on its way to one device. */
export interface Transfer {
  readonly digest: Digest
  readonly size: number
  /** Of the first byte that the device lacks. */
  readonly next: number
  /** Resolves once the device has stored the bytes. @throws `DEVICE_SILENT`, `AGENT_REFUSED`, `AGENT_BUSY`, `CONNECTION_CLOSED`, `ABORTED` */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void>
}

export interface TransferOptions {
  readonly link: AgentLink
  readonly limits: MqttLimits
  readonly chunkBytes: number
  readonly windowBytes: number
  readonly image: { readonly digest: Digest; readonly size: number }
}

interface Piece {
  readonly offset: number
  readonly end: number
  readonly bytes: Uint8Array
}

/** Between two attempts the pause grows up to so many times. */
const slowest = 8

/** Announces an image. @throws what `AgentLink.call` throws */
export async function beginTransfer(options: TransferOptions, settings: CallSettings): Promise<Transfer> {
  const { link, limits, chunkBytes, windowBytes, image } = options
  let transfer = 0
  let next = await begin(settings)

  async function begin(how: CallSettings): Promise<number> {
    // A new number each time: what was said of an earlier attempt, and comes late, is not believed.
    transfer = randomInt(1, 0xffff_ffff)
    const { offset } = await link.call({ do: 'begin', ...image, transfer, chunkBytes }, how)
    if (offset <= image.size) return offset
    throw fail('AGENT_REFUSED', `device ${link.deviceId}: expected at most ${image.size} bytes of the image, found ${offset}`)
  }

  function piecesOf(bytes: Uint8Array): readonly Piece[] {
    const pieces: Piece[] = []
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const part = bytes.subarray(at, at + chunkBytes)
      pieces.push({ offset: next + at, end: next + at + part.length, bytes: part })
    }
    return pieces
  }

  // The device was restarted: what it has now is what counts.
  async function beginAgain(window: ChunkWindow<Piece>, signal: AbortSignal): Promise<void> {
    const offset = await begin({ signal, silenceMs: limits.silenceMs })
    if (offset < window.next) {
      const message = `device ${link.deviceId}: expected ${window.next} bytes stored, found ${offset} after its restart; push again`
      throw fail('AGENT_BUSY', message, { details: { offset } })
    }
    window.lose()
    window.heard({ next: offset, bitmap: new Uint8Array() }, performance.now())
  }

  return {
    ...image,
    get next() {
      return next
    },
    async write(bytes, signal) {
      const window = chunkWindow(piecesOf(bytes), { chunkBytes, windowBytes, againMs: limits.retryMs / 2 })
      const sending = { link, limits, window, transfer: () => transfer, beginAgain: () => beginAgain(window, signal), signal }
      await sendAll(sending)
      next = window.next
    },
  }
}

interface Sending {
  readonly link: AgentLink
  readonly limits: MqttLimits
  readonly window: ChunkWindow<Piece>
  readonly transfer: () => number
  readonly beginAgain: () => Promise<void>
  readonly signal: AbortSignal
}

function sendAll({ link, limits, window, transfer, beginAgain, signal }: Sending): Promise<void> {
  return new Promise((resolve, reject) => {
    let pauseMs = limits.retryMs
    let progressMs = performance.now()
    let isSending = false
    let isAgain = false
    let isSettled = false
    let timer: NodeJS.Timeout

    const settle = (act: () => void): void => {
      if (isSettled) return
      isSettled = true
      clearTimeout(timer)
      stopAck()
      stopReturn()
      stopEnd()
      act()
    }
    const stop = (error: unknown): void => settle(() => reject(error))

    // One after the other, so that a full socket holds back the window and not memory.
    const send = async (): Promise<void> => {
      if (isSending || isAgain) return
      isSending = true
      for (;;) {
        const due = isSettled || isAgain ? [] : window.due(performance.now())
        if (due.length === 0) break
        for (const { offset, bytes } of due) {
          if (isSettled || isAgain) break
          await link.sendChunk({ transfer: transfer(), offset, bytes })
        }
      }
      isSending = false
    }

    const wait = (): void => {
      clearTimeout(timer)
      timer = setTimeout(late, pauseMs)
    }
    const late = (): void => {
      if (performance.now() - progressMs >= limits.silenceMs) {
        const message = `device ${link.deviceId}: expected that it stores a chunk within ${limits.silenceMs} ms, found no word of it`
        stop(coreError('DEVICE_SILENT', message))
        return
      }
      pauseMs = Math.min(pauseMs * 2, limits.retryMs * slowest, limits.silenceMs)
      again()
    }
    const again = (): void => {
      if (isAgain) return
      window.lose()
      wait()
      void send()
    }
    const moved = (): void => {
      progressMs = performance.now()
      pauseMs = limits.retryMs
      if (window.isDone) settle(resolve)
      else wait()
    }
    const restarted = async (): Promise<void> => {
      isAgain = true
      clearTimeout(timer)
      try {
        await beginAgain()
        isAgain = false
        moved()
        void send()
      } catch (error) {
        stop(error)
      }
    }
    const heard = (ack: ChunkAck): void => {
      if (isAgain || ack.transfer !== transfer()) return
      if (ack.is === 'unknown') void restarted()
      else if (ack.is !== 'held') stop(notStored(link.deviceId, ack.is))
      else {
        if (window.heard(ack, performance.now())) moved()
        if (!isSettled) void send()
      }
    }

    const stopAck = link.onAck(heard)
    const stopReturn = link.onReturn(again)
    const stopEnd = link.untilEnd(signal, stop)
    wait()
    void send()
  })
}

function notStored(deviceId: string, is: 'refused' | 'busy'): Error {
  const message = `device ${deviceId}: expected that it stores a chunk, found that it ${is === 'busy' ? 'cannot now' : 'refuses'}`
  return fail(is === 'busy' ? 'AGENT_BUSY' : 'AGENT_REFUSED', message)
}
