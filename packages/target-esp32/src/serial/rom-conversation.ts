import { setTimeout as pause } from 'node:timers/promises'
import { aborted, isOtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import {
  encodeRequest,
  parseResponse,
  type RomRequest,
  type RomResponse,
  responseLimitBytes,
  resultOf,
  romCommands,
  syncRequest,
} from './rom-protocol.ts'
import type { SerialLine } from './serial-line.ts'
import { encodeSlip, SlipDecoder } from './slip.ts'

/** How long is waited, milliseconds. */
export interface RomTimes {
  /** For an answer to a command that is done at once; 3,000 where absent: the slowest USB bridges hold bytes back for some 16. */
  readonly answerMs: number
  /** For an answer to one SYNC; 100 where absent. */
  readonly syncMs: number
  /** For erasing or writing a MiB; 40,000 where absent: the slowest flash that is sold takes about 30 seconds. */
  readonly eraseMsPerMiB: number
  /** For the MD5 of a MiB; 8,000 where absent. */
  readonly md5MsPerMiB: number
}

/** How often SYNC is sent before a chip counts as absent: a chip that has just been reset prints its log for half a second first. */
export const syncAttempts = 10
/** A ROM answers each SYNC eight times. */
const syncReplies = 8

export interface Answer {
  readonly value: number
  readonly data: Uint8Array
}

/** What is said to one ROM, one word at a time. */
export interface RomConversation {
  /** @throws `SERIAL_NO_ANSWER`, `SERIAL_UNAVAILABLE`, `ROM_REFUSED`, `ROM_RESPONSE_INVALID`, `ABORTED` */
  ask(request: RomRequest, options: AskOptions): Promise<Answer>
  /** Finds the ROM, and leaves behind every answer to what was asked before. */
  sync(signal: AbortSignal, attempts?: number): Promise<void>
  /** Runs a sequence of words that no other may come between. */
  exclusively<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  /** Whether nothing more can be said. */
  readonly isOver: boolean
  end(reason: Error): void
}

export interface AskOptions {
  readonly signal: AbortSignal
  readonly dataBytes?: readonly number[]
  /** Beside the time for an answer. */
  readonly moreMs?: number
}

interface Waiting {
  readonly command: number
  take(response: RomResponse): void
  fail(error: Error): void
}

/** Speaks with the ROM at the other end of a line, which it listens to from now on. */
export function romConversation(line: SerialLine, name: string, times: RomTimes): RomConversation {
  const decoder = new SlipDecoder(responseLimitBytes)
  let waiting: Waiting | undefined
  let over: Error | undefined
  let isUnsure = false
  let ignored = 0
  let tail: Promise<unknown> = Promise.resolve()

  const end = (reason: Error): void => {
    over ??= reason
    waiting?.fail(reason)
  }
  line.listen({
    bytes(chunk) {
      for (const frame of decoder.push(chunk)) {
        const response = responseOf(frame)
        // Noise, an echo of what was sent, the log of an application, an answer that comes too late.
        if (response === undefined || response.command !== waiting?.command) ignored++
        else waiting.take(response)
      }
    },
    ended: (cause) => end(fail('SERIAL_UNAVAILABLE', `${name}: expected a line that stays, found that it has ended`, { cause })),
  })

  /** Sends bytes and waits until `enough` is satisfied with an answer. */
  const exchange = (
    request: RomRequest,
    timeoutMs: number,
    signal: AbortSignal,
    enough: (response: RomResponse) => boolean,
  ): Promise<void> =>
    new Promise((resolve, reject) => {
      if (over !== undefined || signal.aborted) {
        reject(over ?? aborted(signal))
        return
      }
      const [before, lost] = [ignored, decoder.dropped]
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
        waiting = undefined
        if (error === undefined) resolve()
        else {
          isUnsure = true
          reject(error)
        }
      }
      const leave = (): void => settle(aborted(signal))
      const timer = setTimeout(() => {
        const heard = `${ignored - before} other messages, ${decoder.dropped - lost} damaged ones`
        settle(
          fail(
            'SERIAL_NO_ANSWER',
            `${name}: expected an answer to command 0x${request.command.toString(16)} within ${timeoutMs} ms, found ${heard}`,
          ),
        )
      }, timeoutMs)
      signal.addEventListener('abort', leave)
      waiting = {
        command: request.command,
        take(response) {
          if (enough(response)) settle()
        },
        fail: settle,
      }
      line.write(encodeSlip(encodeRequest(request))).catch((cause: unknown) => {
        end(fail('SERIAL_UNAVAILABLE', `${name}: expected a line that takes bytes, found that it does not`, { cause }))
      })
    })

  const sync = async (signal: AbortSignal, attempts = syncAttempts): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      let replies = 0
      try {
        // All eight answers, so that none is taken for one to a later SYNC, behind which a late answer could hide.
        await exchange(syncRequest, times.syncMs, signal, () => ++replies >= syncReplies)
        break
      } catch (error) {
        if (!isOtaError(error) || error.code !== 'SERIAL_NO_ANSWER') throw error
        if (replies > 0) break
        if (attempt >= attempts) throw error
      }
    }
    isUnsure = false
  }

  return {
    sync,
    end,
    get isOver() {
      return over !== undefined
    },
    async ask(request, { signal, dataBytes, moreMs = 0 }) {
      if (isUnsure && request.command !== romCommands.changeBaud) await sync(signal)
      let answer: RomResponse | undefined
      await exchange(request, times.answerMs + moreMs, signal, (response) => {
        answer = response
        return true
      })
      const found = answer as unknown as RomResponse
      try {
        return { value: found.value, data: resultOf(found, dataBytes) }
      } catch (error) {
        // Refusals come several times.
        isUnsure = true
        throw error
      }
    },
    async exclusively(signal, work) {
      throwIfAborted(signal)
      const turn = tail
      let done: (() => void) | undefined
      const mine = new Promise<void>((resolve) => {
        done = resolve
      })
      tail = turn.then(() => mine)
      try {
        await untilAborted(turn, signal)
        return await work()
      } finally {
        done?.()
      }
    },
  }
}

function responseOf(frame: Uint8Array): RomResponse | undefined {
  try {
    return parseResponse(frame)
  } catch {
    return undefined
  }
}

async function untilAborted(turn: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let leave: (() => void) | undefined
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => reject(aborted(signal))
    signal.addEventListener('abort', leave)
  })
  left.catch(() => undefined)
  try {
    await Promise.race([turn, left])
  } finally {
    if (leave !== undefined) signal.removeEventListener('abort', leave)
  }
}

/** Waits, and leaves with its caller. @throws `ABORTED` */
export async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => throwIfAborted(signal))
}
