import { digestOf } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { missingBitmap, missingRanges } from '../../src/wire/agent-answer.ts'
import { decodeAgentCommand, encodeAgentCommand } from '../../src/wire/agent-command.ts'
import { encodeAnswer } from '../../src/wire/answer.ts'
import { decodeCheckIn, encodeCheckIn } from '../../src/wire/check-in.ts'
import { decodeChunk, encodeChunk } from '../../src/wire/chunk.ts'
import { decodeChunkAck, encodeChunkAck } from '../../src/wire/chunk-ack.ts'
import { decodeImageRequest, encodeImageRequest } from '../../src/wire/image-request.ts'
import { encodeNotice } from '../../src/wire/notice.ts'

const digest = digestOf(new Uint8Array([1]))
const from = '0123456789abcdef'
const bytes = Uint8Array.from({ length: 40 }, (_, index) => index)
const state = { model: 'board', installed: { version: '1.0.0', digest, state: 'confirmed' }, attributes: { a: { b: [1] } } } as const

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
