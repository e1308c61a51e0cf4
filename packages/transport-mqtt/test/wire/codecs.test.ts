import { crc32, digestOf } from '@reflash/core'
import { type FuzzedParser, fuzzParser, type Mutation, mutateBytes, mutateField, mutateJsonBytes } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import {
  decodeAgentAnswer,
  encodeAgentAnswer,
  encodeAgentResult,
  missingBitmap,
  missingRanges,
  readAgentResult,
} from '../../src/wire/agent-answer.ts'
import { decodeAgentCommand, encodeAgentCommand } from '../../src/wire/agent-command.ts'
import { decodeAnswer, encodeAnswer } from '../../src/wire/answer.ts'
import { decodeCheckIn, encodeCheckIn } from '../../src/wire/check-in.ts'
import { decodeChunk, encodeChunk } from '../../src/wire/chunk.ts'
import { decodeChunkAck, encodeChunkAck } from '../../src/wire/chunk-ack.ts'
import { decodeImageRequest, encodeImageRequest } from '../../src/wire/image-request.ts'
import { decodeNotice, encodeNotice } from '../../src/wire/notice.ts'
import { decodeReport, encodeReport } from '../../src/wire/report.ts'

const digest = digestOf(new Uint8Array([1]))
const from = '0123456789abcdef'
const bytes = Uint8Array.from({ length: 40 }, (_, index) => index)
const state = { model: 'board', installed: { version: '1.0.0', digest, state: 'confirmed' }, attributes: { a: { b: [1] } } } as const
const invalid = { INVALID_MESSAGE: 'invalid' } as const
const sealed = { ...invalid, CHUNK_CORRUPT: 'invalid' } as const

/** Makes the CRC-32 of a sealed message right again. */
function reseal(message: Uint8Array): Uint8Array {
  if (message.length < 4) return message
  const copy = message.slice()
  new DataView(copy.buffer).setUint32(0, crc32(copy.subarray(4)))
  return copy
}

/** Makes the CRC-32 in bytes 12 to 15 right again. */
function rehead(frame: Uint8Array): Uint8Array {
  if (frame.length < 16) return frame
  const copy = frame.slice()
  new DataView(copy.buffer).setUint32(12, crc32(copy.subarray(16), crc32(copy.subarray(0, 12))))
  return copy
}

/** Changes the JSON behind a CRC-32. */
const mutateSealed: Mutation<Uint8Array> = (message, random, other) => {
  const changed = mutateJsonBytes(message.subarray(4), random, other.subarray(4))
  return reseal(Uint8Array.from([0, 0, 0, 0, ...changed]))
}

const json = { mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes], codes: invalid }
const inSeal = { mutations: [mutateBytes, mutateSealed, mutateSealed], seal: reseal, codes: sealed }
const framed = { mutations: [mutateBytes, mutateField(0, 4), mutateField(4, 4), mutateField(8, 4)], seal: rehead, codes: sealed }

const parsers: readonly FuzzedParser<Uint8Array>[] = [
  {
    name: 'check-in',
    corpus: [encodeCheckIn({ re: 1, token: 't', state, evidence: { mediaType: 'x/y', body: bytes } }), encodeCheckIn({ re: 9, state: {} })],
    parse: decodeCheckIn,
    ...json,
  },
  {
    name: 'report',
    corpus: [encodeReport({ re: 1, seq: 7, report: { state: 'failed', received: 4, code: 'X', messages: ['a', 'b'] } })],
    parse: decodeReport,
    ...json,
  },
  {
    name: 'image request',
    corpus: [encodeImageRequest({ re: 5, seq: 7, component: 'app', offset: 4096, length: 2048, chunkBytes: 512, have: Uint8Array.of(5) })],
    parse: decodeImageRequest,
    ...json,
  },
  {
    name: 'answer',
    corpus: [
      encodeAnswer(3),
      encodeAnswer(4, { error: new Error('x') }),
      encodeAnswer(5, {
        checkIn: {
          pollAfterMs: 1,
          challenge: bytes,
          wants: ['evidence'],
          because: [{ code: 'A', message: 'b' }],
          offer: {
            seq: 1,
            version: '1.1.0',
            mode: 'forced',
            components: [
              {
                component: 'app',
                yields: digest,
                representations: [{ descriptor: { mediaType: 'x', digest, size: 9 }, fileName: 'a.bin', crc32: 5, coding: 'identity' }],
              },
            ],
          },
        },
      }),
    ],
    parse: decodeAnswer,
    ...json,
  },
  { name: 'notice', corpus: [encodeNotice({ version: '1.0.0', size: 942_320 })], parse: decodeNotice, ...json },
  {
    name: 'agent command',
    corpus: [
      encodeAgentCommand({ re: 1, from, task: { do: 'begin', digest, size: 9, transfer: 3, chunkBytes: 512 } }),
      encodeAgentCommand({ re: 2, from, task: { do: 'evidence', challenge: bytes } }),
      encodeAgentCommand({ re: 3, from, task: { do: 'activate', digest } }),
      encodeAgentCommand({ re: 4, from, task: { do: 'status' } }),
    ],
    parse: decodeAgentCommand,
    ...inSeal,
  },
  {
    name: 'agent answer',
    corpus: [
      encodeAgentAnswer(1, 'token', { ok: encodeAgentResult.status(state) }),
      encodeAgentAnswer(2, undefined, { error: new Error('x') }),
    ],
    parse: (message) => {
      const { ok } = decodeAgentAnswer(message)
      return ok && readAgentResult('status', ok)
    },
    ...inSeal,
  },
  { name: 'chunk', corpus: [encodeChunk({ transfer: 7, offset: 4096, bytes })], parse: decodeChunk, ...framed },
  {
    name: 'ack',
    corpus: [encodeChunkAck({ transfer: 7, is: 'held', next: 4096, bitmap: Uint8Array.of(6) })],
    parse: decodeChunkAck,
    ...framed,
  },
]

describe.each(parsers)('$name', (parser) => {
  test('is refused with a code, whatever it holds', async () => {
    const { accepted } = await fuzzParser(parser).run({ inputs: 10_000, seed: 5 })
    expect(accepted).toBeGreaterThan(0)
  })
})

describe('codecs', () => {
  test('give back what they were given', () => {
    const said = { re: 1, token: 't', state, evidence: { mediaType: 'x/y', body: bytes } }
    expect(decodeCheckIn(encodeCheckIn(said))).toEqual(said)
    const request = { re: 5, seq: 7, component: 'app', offset: 1, length: 2048, chunkBytes: 512, have: Uint8Array.of(5) }
    expect(decodeImageRequest(encodeImageRequest(request))).toEqual(request)
    const chunk = decodeChunk(encodeChunk({ transfer: 7, offset: 4096, bytes }))
    expect({ ...chunk, bytes: [...chunk.bytes] }).toEqual({ transfer: 7, offset: 4096, bytes: [...bytes] })
    for (const is of ['held', 'unknown', 'refused', 'busy'] as const) {
      const ack = { transfer: 7, is, next: 1, bitmap: Uint8Array.of(2, 1) }
      expect(decodeChunkAck(encodeChunkAck(ack))).toEqual(ack)
    }
    const command = { re: 2, from, task: { do: 'evidence', challenge: bytes } } as const
    expect(decodeAgentCommand(encodeAgentCommand(command))).toEqual(command)
  })

  test("write OtaFlux's notification with exactly its two members", () => {
    expect(new TextDecoder().decode(encodeNotice({ version: '1.0.0', size: 942_320 }))).toBe('{"version":"1.0.0","size":942320}')
  })

  test('find every single flipped bit of a chunk, also in its head', () => {
    const frame = encodeChunk({ transfer: 7, offset: 4096, bytes })
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const copy = frame.slice()
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => decodeChunk(copy), `bit ${bit}`).toThrow()
    }
  })

  test('tell what is missing by a bitmap, and read the same from it', () => {
    const size = 10_000
    for (const ranges of [
      [],
      [{ offset: 0, length: size }],
      [
        { offset: 4096, length: 512 },
        { offset: 6144, length: size - 6144 },
      ],
    ]) {
      expect([...missingRanges(missingBitmap(ranges, size, 512), size)]).toEqual(ranges)
    }
  })

  test('say nothing of an error that is for its own people only', () => {
    const text = new TextDecoder().decode(encodeAnswer(1, { error: new Error('postgres://secret') }))
    expect(text).toBe('{"re":1,"error":{"code":"INTERNAL","fault":"internal"}}')
  })
})
