import type { Digest, JsonObject } from '@reflash/core'
import { isInstance } from '../topics.ts'
import { chunkLimitBytes } from './chunk.ts'
import { challengeLimitBytes } from './evidence.ts'
import { base64, described, digest, invalid, numberOf, sealJson, toBase64, unsealJson, whole } from './json-message.ts'

/** What an agent is told to do. */
export type AgentTask =
  | { readonly do: 'hello' }
  | { readonly do: 'begin'; readonly digest: Digest; readonly size: number; readonly transfer: number; readonly chunkBytes: number }
  | { readonly do: 'missing' }
  | { readonly do: 'activate'; readonly digest?: Digest }
  | { readonly do: 'status' }
  | { readonly do: 'evidence'; readonly challenge: Uint8Array }

export interface AgentCommand {
  readonly re: number
  /** The server process that asks: part of the topic that is answered on. */
  readonly from: string
  readonly task: AgentTask
}

/**
 * `down/{id}/agent`, answered by `up/{id}/agent/{from}` (`wire/agent-answer.ts`). Sealed JSON; unknown members are ignored. A command that
 * comes again (the same `from` and `re`) is answered again and not done again.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re | 1..4294967295 | the answer repeats it |
 * | from | 8..32 of 0-9 a-f | who is answered |
 * | do | `hello`, `begin`, `missing`, `activate`, `status`, `evidence` | |
 * | digest | digest | `begin`: of the image; `activate`: of the one that is meant, where the server knows |
 * | size | 1..4294967295 | `begin`: bytes of the image |
 * | transfer | 1..4294967295 | `begin`: the number in its chunks, which nobody can guess |
 * | chunkBytes | 1..65536 | `begin`: bytes of each chunk but the last of a window |
 * | challenge | base64, at most 256 bytes | `evidence`: what the evidence is for |
 */
export function encodeAgentCommand({ re, from, task }: AgentCommand): Uint8Array {
  const { do: verb, ...rest } = task
  return sealJson({ re, from, do: verb, ...rest, ...('challenge' in task ? { challenge: toBase64(task.challenge) } : {}) })
}

/** @throws `INVALID_MESSAGE`, `CHUNK_CORRUPT` */
export function decodeAgentCommand(payload: Uint8Array): AgentCommand {
  const message = unsealJson(payload)
  const { from } = message
  if (!isInstance(from)) throw invalid('from', '8 to 32 of 0-9 a-f', described(from))
  return { re: numberOf(message), from, task: readTask(message) }
}

function readTask(message: JsonObject): AgentTask {
  switch (message.do) {
    case 'hello':
    case 'missing':
    case 'status':
      return { do: message.do }
    case 'begin':
      return {
        do: 'begin',
        digest: digest(message, 'digest'),
        size: whole(message, 'size', 1, 0xffff_ffff),
        transfer: whole(message, 'transfer', 1, 0xffff_ffff),
        chunkBytes: whole(message, 'chunkBytes', 1, chunkLimitBytes),
      }
    case 'activate':
      return { do: 'activate', ...(message.digest === undefined ? {} : { digest: digest(message, 'digest') }) }
    case 'evidence':
      return { do: 'evidence', challenge: base64(message, 'challenge', challengeLimitBytes) }
    default:
      throw invalid('do', 'hello, begin, missing, activate, status or evidence', described(message.do))
  }
}
