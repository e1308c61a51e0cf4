import { randomInt } from 'node:crypto'
import { aborted, throwIfAborted } from '@reflash/core'
import type { BrokerLine } from '../broker-line.ts'
import { fail } from '../mqtt-errors.ts'
import type { Answer } from '../wire/answer.ts'
import type { MqttClientLimits } from './client-limits.ts'
import { serverRefusal } from './server-refusal.ts'

/** Questions to the server that wait for their answers. */
export interface Questions {
  /**
   * Asks until there is an answer.
   * @throws `MQTT_SERVER_SILENT`, `MQTT_SERVER_REFUSED`, `MQTT_SERVER_BUSY`, `MQTT_REQUEST_REFUSED`, `MQTT_REQUEST_UNSUPPORTED`, `CONNECTION_CLOSED`, `ABORTED`
   */
  ask(line: BrokerLine, topic: string, encode: (re: number) => Uint8Array, signal: AbortSignal | undefined): Promise<Answer>
  heard(answer: Answer): boolean
  close(): void
}

/** Between two attempts the pause grows up to so many times. */
const slowest = 8

/** A number for a question which nobody can guess. */
export function questionNumber(): number {
  return randomInt(1, 0xffff_ffff)
}

export function questions({ retryMs, silenceMs }: Pick<MqttClientLimits, 'retryMs' | 'silenceMs'>): Questions {
  const waiting = new Map<number, (answer: Answer) => void>()
  const ends = new Set<() => void>()

  function ask(line: BrokerLine, topic: string, encode: (re: number) => Uint8Array, signal: AbortSignal | undefined): Promise<Answer> {
    throwIfAborted(signal)
    const re = questionNumber()
    const payload = encode(re)
    return new Promise((resolve, reject) => {
      let pauseMs = retryMs
      let timer: NodeJS.Timeout | undefined
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        clearTimeout(deadline)
        signal?.removeEventListener('abort', left)
        stopReturn()
        ends.delete(end)
        waiting.delete(re)
        act()
      }
      const left = (): void => settle(() => reject(aborted(signal as AbortSignal)))
      const end = (): void => settle(() => reject(fail('CONNECTION_CLOSED', 'expected an open client, found that it was closed')))
      const say = (): void => {
        clearTimeout(timer)
        timer = setTimeout(() => {
          pauseMs = Math.min(pauseMs * 2, retryMs * slowest)
          say()
        }, pauseMs)
        // Away: said again when the line is back. Refused by the broker: nobody will answer, and the deadline says so.
        if (line.isConnected) line.publish(topic, payload, { qos: 1 }).catch(() => undefined)
      }
      const deadline = setTimeout(() => {
        settle(() => reject(fail('MQTT_SERVER_SILENT', `expected an answer of the server within ${silenceMs} ms, found none`)))
      }, silenceMs)
      const stopReturn = line.onReturn(say)
      signal?.addEventListener('abort', left, { once: true })
      ends.add(end)
      waiting.set(re, (answer) => {
        settle(() => (answer.error === undefined ? resolve(answer) : reject(serverRefusal(answer.error))))
      })
      say()
    })
  }

  return {
    ask: async (...question) => ask(...question),
    heard(answer) {
      const take = waiting.get(answer.re)
      take?.(answer)
      return take !== undefined
    },
    close() {
      for (const end of [...ends]) end()
    },
  }
}
