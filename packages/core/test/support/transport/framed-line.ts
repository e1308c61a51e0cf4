import { coreError, type Fault, isOtaError, type Json, OtaError, throwIfAborted } from '@reflash/core'
import { decodeFrame, encodeFrame, isWhole } from './frame.ts'
import type { ChannelEnd, MemoryWire } from './memory-wire.ts'

type Said = { readonly [key: string]: Json }

/** What one end answers the other. */
export interface Answer {
  readonly said: Said
  readonly bytes?: Uint8Array
}

export type Answering = (said: Said, bytes: Uint8Array) => Promise<Answer>

/** A line of which a mutant does one thing otherwise. */
export interface LineHabits {
  /** Milliseconds until a question is asked again, and how often. */
  readonly againMs: number
  readonly tries: number
  /** Whether a damaged frame is dropped. */
  checks(frame: Uint8Array): boolean
  /** Which question an answer is for: that with its number; or the one that waits, whatever came, or whatever came but the last once more. */
  readonly matches: 'number' | 'any' | 'not-twice'
  /** Whether a caller who leaves is let go at once. */
  readonly heeds: boolean
  /** Whether what waits is ended with the line. */
  readonly ends: boolean
}

export const rightLine: LineHabits = { againMs: 15, tries: 16, checks: isWhole, matches: 'number', heeds: true, ends: true }

/** Asks over a channel: one question at a time, again where no answer comes. */
export interface FramedLine {
  ask(said: Said, bytes?: Uint8Array, signal?: AbortSignal): Promise<Required<Answer>>
  close(): void
}

export function framedLine(wire: MemoryWire, deviceId: string, habits: LineHabits = rightLine): FramedLine {
  const silent = (found: string): Error => coreError('DEVICE_SILENT', `device ${deviceId}: expected an answer, found ${found}`)
  const opened = wire.open()
  if (opened === undefined) throw silent('no line')
  const channel: ChannelEnd = opened
  let sequence = 0
  let newest = 0
  let ended: Error | undefined
  let before: Promise<unknown> = Promise.resolve()
  const waiting = new Map<number, { answer(answer: Required<Answer>): void; end(error: Error): void }>()
  const end = (error: Error): void => {
    ended ??= error
    if (habits.ends) for (const { end: stop } of waiting.values()) stop(ended)
  }
  channel.onMessage = (message) => {
    const frame = decodeFrame(message, habits.checks)
    if (frame === undefined) return
    const isAgain = frame.sequence === newest
    newest = frame.sequence
    if (habits.matches === 'not-twice' && isAgain) return
    const at = habits.matches === 'number' ? frame.sequence : [...waiting.keys()][0]
    waiting.get(at ?? -1)?.answer(frame)
  }
  channel.onEnd = () => end(silent('the line broken'))

  function once(said: Said, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Required<Answer>> {
    if (ended !== undefined) return Promise.reject(ended)
    const number = ++sequence
    const frame = encodeFrame({ sequence: number, said, bytes })
    return new Promise((resolve, reject) => {
      let tries = 0
      const timer = setInterval(() => send(), habits.againMs)
      const over = (act: () => void): void => {
        clearInterval(timer)
        waiting.delete(number)
        signal?.removeEventListener('abort', leave)
        act()
      }
      const leave = (): void => over(() => reject(coreError('ABORTED', 'the caller cancelled')))
      const send = (): void => {
        if (++tries > habits.tries) over(() => reject(silent(`none in ${habits.againMs * habits.tries} ms`)))
        else channel.send(frame)
      }
      waiting.set(number, { answer: (answer) => over(() => resolve(answer)), end: (error) => over(() => reject(error)) })
      if (habits.heeds) signal?.addEventListener('abort', leave)
      send()
    })
  }

  return {
    async ask(said, bytes = new Uint8Array(), signal) {
      throwIfAborted(signal)
      const turn = before.then(() => {
        throwIfAborted(signal)
        return once(said, bytes, signal)
      })
      before = turn.catch(() => undefined)
      return expectGood(await turn)
    },
    close() {
      end(silent('that the connection was disposed'))
      channel.close()
    },
  }
}

function expectGood(answer: Required<Answer>): Required<Answer> {
  const { error } = answer.said
  if (error === undefined) return answer
  const { code, fault, message } = error as { readonly code: string; readonly fault: Fault; readonly message: string }
  throw new OtaError(code, fault, message)
}

/** Answers at the other end; what is asked twice is answered twice and done once. */
export function answerFrames(channel: ChannelEnd, answering: Answering): void {
  let newest = 0
  let lastAnswer: Uint8Array | undefined
  channel.onMessage = async (message) => {
    const frame = decodeFrame(message)
    if (frame === undefined || frame.sequence < newest) return
    if (frame.sequence === newest) {
      if (lastAnswer !== undefined) channel.send(lastAnswer)
      return
    }
    newest = frame.sequence
    lastAnswer = undefined
    const { said, bytes = new Uint8Array() } = await answering(frame.said, frame.bytes).catch(refusal)
    const answer = encodeFrame({ sequence: frame.sequence, said, bytes })
    if (newest === frame.sequence) lastAnswer = answer
    channel.send(answer)
  }
}

function refusal(error: unknown): Answer {
  const { code, fault, message } = isOtaError(error) ? error : { code: 'BROKEN', fault: 'invalid', message: String(error) }
  return { said: { error: { code, fault, message } } }
}
