import { randomInt } from 'node:crypto'
import { type Authenticator, aborted, coreError, isOtaError, type Principal, throwIfAborted } from '@reflash/core'
import { authenticate } from '../authenticate.ts'
import type { BrokerLine } from '../broker-line.ts'
import type { MqttLimits } from '../limits.ts'
import { fail } from '../mqtt-errors.ts'
import type { Topics } from '../topics.ts'
import { type AgentAnswer, type AgentResult, decodeAgentAnswer, readAgentResult } from '../wire/agent-answer.ts'
import { type AgentTask, encodeAgentCommand } from '../wire/agent-command.ts'
import { type Chunk, chunkHead } from '../wire/chunk.ts'
import { type ChunkAck, decodeChunkAck } from '../wire/chunk-ack.ts'
import type { WireError } from '../wire/wire-error.ts'

export interface CallSettings {
  readonly signal: AbortSignal
  readonly silenceMs: number
}

/** Words and chunks to one device, and what it says to them. */
export interface AgentLink {
  readonly deviceId: string
  /**
   * Tells the agent to do something, again and again until it has answered.
   * @throws `DEVICE_SILENT`, `AGENT_REFUSED`, `AGENT_BUSY`, `AGENT_UNSUPPORTED`, `DEVICE_NOT_AUTHENTICATED`, `CONNECTION_CLOSED`, `ABORTED`
   */
  call<K extends AgentTask['do']>(task: Extract<AgentTask, { do: K }>, settings: CallSettings): Promise<AgentResult[K]>
  /** Who has answered first. @throws as `call` */
  principal(): Principal
  /** Sends a chunk once; a line that is away loses it. */
  sendChunk(chunk: Chunk): Promise<void>
  onAck(listener: (ack: ChunkAck) => void): () => void
  onReturn(listener: () => void): () => void
  /** Rejects with `CONNECTION_CLOSED` when the link is closed, and with `ABORTED` when the signal fires; returns how to stop. */
  untilEnd(signal: AbortSignal, reject: (error: Error) => void): () => void
  /** From the router: what came under the topic of this device. */
  heard(kind: 'agent' | 'ack', payload: Uint8Array): void
  close(): void
}

export interface LinkOptions {
  readonly deviceId: string
  readonly line: BrokerLine
  readonly topics: Topics
  readonly instance: string
  readonly limits: MqttLimits
  readonly authenticators: readonly Authenticator[]
}

/** Between two attempts the pause grows up to so many times. */
const slowest = 8

export function agentLink({ deviceId, line, topics, instance, limits, authenticators }: LinkOptions): AgentLink {
  const waiting = new Map<number, (answer: AgentAnswer) => void>()
  const acks = new Set<(ack: ChunkAck) => void>()
  const ends = new Set<() => void>()
  let isClosed = false
  let who: Principal | undefined

  const closed = (): Error => fail('CONNECTION_CLOSED', `device ${deviceId}: expected an open connection, found that it was closed`)

  function untilEnd(signal: AbortSignal, reject: (error: Error) => void): () => void {
    const left = (): void => reject(aborted(signal))
    const end = (): void => reject(closed())
    signal.addEventListener('abort', left, { once: true })
    ends.add(end)
    return () => {
      signal.removeEventListener('abort', left)
      ends.delete(end)
    }
  }

  function answerTo(re: number, payload: Uint8Array, task: AgentTask['do'], { signal, silenceMs }: CallSettings): Promise<AgentAnswer> {
    return new Promise((resolve, reject) => {
      let pauseMs = limits.retryMs
      let timer: NodeJS.Timeout | undefined
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        clearTimeout(deadline)
        stopEnd()
        stopReturn()
        waiting.delete(re)
        act()
      }
      const say = (): void => {
        clearTimeout(timer)
        timer = setTimeout(() => {
          pauseMs = Math.min(pauseMs * 2, limits.retryMs * slowest)
          say()
        }, pauseMs)
        if (!line.isConnected) return
        line.publish(topics.down(deviceId, 'agent'), payload, { qos: 1 }).catch((error: unknown) => {
          // A broker that refuses the topic will refuse it again.
          if (isOtaError(error) && error.fault === 'rejected') settle(() => reject(error))
        })
      }
      const deadline = setTimeout(() => {
        const message = `device ${deviceId}: expected an answer to "${task}" within ${silenceMs} ms, found none`
        settle(() => reject(coreError('DEVICE_SILENT', message)))
      }, silenceMs)
      const stopEnd = untilEnd(signal, (error) => settle(() => reject(error)))
      const stopReturn = line.onReturn(say)
      waiting.set(re, (answer) => settle(() => resolve(answer)))
      say()
    })
  }

  return {
    deviceId,
    async call(task, settings) {
      throwIfAborted(settings.signal)
      if (isClosed) throw closed()
      // Nobody who cannot read along can answer in place of the device.
      const re = randomInt(1, 0xffff_ffff)
      const answer = await answerTo(re, encodeAgentCommand({ re, from: instance, task }), task.do, settings)
      const principal = await authenticate(authenticators, deviceId, answer.token, settings.signal)
      who ??= principal
      if (answer.error !== undefined) throw refusal(deviceId, task.do, answer.error)
      return readAgentResult(task.do, answer.ok) as AgentResult[typeof task.do]
    },
    principal() {
      if (who === undefined) throw closed()
      return who
    },
    async sendChunk(chunk) {
      await line.publishPieces(topics.down(deviceId, 'chunk', instance), chunkHead(chunk), chunk.bytes).catch(() => undefined)
    },
    onAck(listener) {
      acks.add(listener)
      return () => void acks.delete(listener)
    },
    onReturn: (listener) => line.onReturn(listener),
    untilEnd,
    heard(kind, payload) {
      try {
        if (kind === 'agent') {
          const answer = decodeAgentAnswer(payload)
          waiting.get(answer.re)?.(answer)
        } else {
          const ack = decodeChunkAck(payload)
          for (const listener of acks) listener(ack)
        }
      } catch (error) {
        // Damaged or not of this protocol: the same is asked again.
        if (!isOtaError(error)) throw error
      }
    },
    close() {
      isClosed = true
      for (const end of [...ends]) end()
    },
  }
}

/** What an agent that says no means for the caller. Its own words are kept as reasons. */
function refusal(deviceId: string, task: string, { code, fault, message, because }: WireError): Error {
  const details = { remoteCode: code }
  const found = `device ${deviceId}: expected that its agent does "${task}", found ${code}${message === '' ? '' : `: ${message}`}`
  if (fault === 'unavailable' || fault === 'aborted') return fail('AGENT_BUSY', found, { details })
  if (fault === 'unsupported') return fail('AGENT_UNSUPPORTED', found, { details })
  return fail('AGENT_REFUSED', found, { details, because: [{ code, message: message || found }, ...because] })
}
