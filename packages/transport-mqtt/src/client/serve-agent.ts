import { isOtaError, type RunContext } from '@reflash/core'
import type { BrokerLine } from '../broker-line.ts'
import { fail } from '../mqtt-errors.ts'
import type { Topics } from '../topics.ts'
import { type AgentReply, encodeAgentAnswer, encodeAgentResult, missingBitmap } from '../wire/agent-answer.ts'
import { type AgentTask, decodeAgentCommand } from '../wire/agent-command.ts'
import { chunkLimitBytes, decodeChunk } from '../wire/chunk.ts'
import { encodeChunkAck } from '../wire/chunk-ack.ts'
import { type ChunkIntake, chunkIntake } from './chunk-intake.ts'
import type { MqttClientLimits } from './client-limits.ts'
import type { LocalAgent } from './local-agent.ts'

/** A device's side of the `agent` port. */
export interface AgentRuntime {
  command(payload: Uint8Array): void
  chunk(instance: string, frame: Uint8Array): void
  /** Takes no more; what runs is told to end. */
  close(): Promise<void>
}

export interface AgentRuntimeOptions {
  readonly deviceId: string
  readonly token: string | undefined
  readonly line: BrokerLine
  readonly topics: Topics
  readonly limits: MqttClientLimits
  readonly agent: LocalAgent
}

/** Answers that are kept, so that a command that comes again is not done again: more than a server has under way. */
const keptAnswers = 64

/** Lets servers drive a device over its line. */
export function agentRuntime({ deviceId, token, line, topics, limits, agent }: AgentRuntimeOptions): AgentRuntime {
  const { port } = agent
  const ending = new AbortController()
  const answers = new Map<string, Promise<Uint8Array>>()
  let intake: ChunkIntake | undefined
  let image: { readonly digest: string; readonly size: number } | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let pending = 0
  let isAckDue = false

  const context = (): RunContext => ({ signal: ending.signal, now: new Date() })

  const tasks: { readonly [K in AgentTask['do']]: (task: Extract<AgentTask, { do: K }>, from: string) => Promise<object> } = {
    hello: async () =>
      encodeAgentResult.hello({
        chunkBytes: Math.min(port.maxChunkBytes, limits.windowBytes, chunkLimitBytes),
        windowBytes: limits.windowBytes,
        can: [
          ...(port.missing === undefined ? [] : (['missing'] as const)),
          ...(agent.evidence === undefined ? [] : (['evidence'] as const)),
        ],
      }),
    async begin({ digest, size, transfer, chunkBytes }, from) {
      intake = undefined
      const { offset } = await port.begin({ digest, size }, context())
      image = { digest, size }
      const { windowBytes } = limits
      intake = chunkIntake({ port, transfer, offset, size, chunkBytes, windowBytes, context, onChange: () => acknowledge(from) })
      return encodeAgentResult.begin({ offset })
    },
    async missing() {
      if (port.missing === undefined) throw fail('AGENT_UNSUPPORTED', 'expected an agent that knows what is missing, found another')
      const ranges: { readonly offset: number; readonly length: number }[] = []
      for await (const range of port.missing(context())) ranges.push(range)
      const size = image?.size ?? ranges.reduce((most, { offset, length }) => Math.max(most, offset + length), 0)
      return encodeAgentResult.missing(missingBitmap(ranges, size, Math.min(port.maxChunkBytes, chunkLimitBytes)))
    },
    async activate({ digest }) {
      // The answer was lost, or the restart was faster than it.
      if (digest !== undefined && (await port.status(context())).installed?.digest === digest) return {}
      if (digest !== undefined && image !== undefined && image.digest !== digest) {
        throw fail('AGENT_REFUSED', `expected to activate ${image.digest}, found ${digest}`)
      }
      await port.activate(context())
      intake = undefined
      image = undefined
      return {}
    },
    async status() {
      const { model, installed, attributes } = await port.status(context())
      return encodeAgentResult.status({
        ...(model === undefined ? {} : { model }),
        ...(installed === undefined ? {} : { installed }),
        ...(attributes === undefined ? {} : { attributes }),
      })
    },
    async evidence({ challenge }) {
      if (agent.evidence === undefined) throw fail('AGENT_UNSUPPORTED', 'expected an agent with evidence, found one without')
      return encodeAgentResult.evidence(await agent.evidence(challenge))
    },
  }

  async function replyTo(task: AgentTask, from: string): Promise<AgentReply> {
    try {
      await intake?.settled()
      return { ok: await (tasks[task.do] as (task: AgentTask, from: string) => Promise<object>)(task, from) }
    } catch (error) {
      return { error }
    }
  }

  /** One after the other: what is stored belongs to what was begun. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = turn.then(work)
    turn = done.catch(() => undefined)
    return done
  }

  function remember(key: string, answer: Promise<Uint8Array>): void {
    answers.set(key, answer)
    const oldest = answers.size > keptAnswers ? answers.keys().next().value : undefined
    if (oldest !== undefined) answers.delete(oldest)
  }

  async function send(instance: string, answer: Promise<Uint8Array>): Promise<void> {
    const payload = await answer
    await line.publish(topics.up(deviceId, 'agent', instance), payload, { qos: 1 }).catch(() => undefined)
  }

  function acknowledge(instance: string): void {
    if (isAckDue) return
    isAckDue = true
    // Once for all chunks that came together.
    setImmediate(() => {
      isAckDue = false
      if (intake === undefined || ending.signal.aborted) return
      void sayAck(instance, encodeChunkAck(intake.ack()))
    })
  }

  const sayAck = (instance: string, frame: Uint8Array): Promise<void> =>
    line.publish(topics.up(deviceId, 'ack', instance), frame, { qos: 0 }).catch(() => undefined)

  return {
    command(payload) {
      const command = decoded(() => decodeAgentCommand(payload))
      if (command === undefined || ending.signal.aborted) return
      const { re, from, task } = command
      const key = `${from}:${re}`
      const known = answers.get(key)
      if (known !== undefined) return void send(from, known)
      if (pending >= limits.pendingCommands) return
      pending += 1
      const reply = inTurn(() => replyTo(task, from)).finally(() => {
        pending -= 1
      })
      const answer = reply.then((said) => encodeReply(re, token, said))
      remember(key, answer)
      void send(from, answer).then(async () => {
        if (task.do === 'activate' && 'ok' in (await reply)) await agent.activated?.()
      })
    },
    chunk(instance, frame) {
      const chunk = decoded(() => decodeChunk(frame))
      if (chunk === undefined || ending.signal.aborted) return
      if (intake?.transfer !== chunk.transfer) {
        const { transfer } = chunk
        return void sayAck(instance, encodeChunkAck({ transfer, is: 'unknown', next: 0, bitmap: new Uint8Array() }))
      }
      intake.take(chunk)
    },
    async close() {
      ending.abort()
      await turn
      await intake?.settled()
    },
  }
}

/** What is too long for a message is told as a failure of this device. */
function encodeReply(re: number, token: string | undefined, reply: AgentReply): Uint8Array {
  try {
    return encodeAgentAnswer(re, token, reply)
  } catch (error) {
    return encodeAgentAnswer(re, token, { error: isOtaError(error) ? error : undefined })
  }
}

/** Undefined where it is damaged or not of this protocol: its sender says it again. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (!isOtaError(error)) throw error
    return undefined
  }
}
