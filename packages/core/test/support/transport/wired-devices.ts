import { createHash } from 'node:crypto'
import { coreError, type Digest, type Evidence, type Json } from '@reflash/core'
import type { AgentDevice, FlashDevice } from '@reflash/core/conformance'
import { memoryDevice } from '@reflash/core/testing'
import { type Answering, answerFrames } from './framed-line.ts'
import { type MemoryWire, memoryWire } from './memory-wire.ts'

/** Which devices a framed transport reaches, by id. */
export type Network = Map<string, MemoryWire>

const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const imageOf = (version: string): Uint8Array => text(`board board\n${version}\n${`image ${version} `.repeat(16)}`)

/** What such a device shows: the challenge between brackets, and what it runs. */
const evidenceOf = (challenge: Uint8Array, running: Uint8Array): Evidence => ({
  mediaType: 'application/x-shown',
  body: new Uint8Array(createHash('sha512').update(challenge).update(running).digest()),
})

/** Puts a device with an agent into a network. */
export function wiredAgent(network: Network, id: string): AgentDevice {
  const unit = memoryDevice({ id, runs: imageOf('1.0.0'), evidence: evidenceOf })
  const wire = memoryWire((channel) => {
    const port = unit.port()
    const context = { signal: new AbortController().signal, now: new Date(0) }
    const words: Readonly<Record<string, Answering>> = {
      hello: async () => ({ said: { maxChunkBytes: port.maxChunkBytes, blockBytes: null } }),
      status: async () => ({ said: { value: (await port.status(context)) as unknown as Json } }),
      begin: async ({ digest, size }) => ({
        said: { value: { ...(await port.begin({ digest: digest as Digest, size: Number(size) }, context)) } },
      }),
      write: async ({ offset }, bytes) => ({ said: { value: (await port.write(Number(offset), bytes, context)) ?? null } }),
      activate: async () => {
        await port.activate(context)
        // Its self-test passes at once, so that the next image may come.
        await port.status(context)
        await port.status(context)
        return { said: {} }
      },
      evidence: async (_said, bytes) => {
        const { mediaType, body } = evidenceOf(bytes, unit.running ?? new Uint8Array())
        return { said: { mediaType }, bytes: body }
      },
    }
    answerFrames(channel, answeringBy(words))
  })
  network.set(id, wire)
  return {
    device: { id },
    wire,
    images: [imageOf('1.1.0'), imageOf('1.2.0')],
    staged: async () => unit.staged,
    runs: async () => unit.running,
    state: async () => unit.state(),
    connections: async () => wire.channels,
    evidence: async (challenge) => evidenceOf(challenge, unit.running ?? new Uint8Array()),
  }
}

const blockBytes = 1024
const flashBytes = 12 * blockBytes

/** Puts a device with open flash into a network. */
export function wiredFlash(network: Network, id: string): FlashDevice {
  const flash = Uint8Array.from({ length: flashBytes }, (_, index) => (index * 31) ^ (index >> 7))
  let resets = 0
  const place = (offset: unknown, length: unknown, unit = 1): readonly [number, number] => {
    const [at, size] = [offset as number, length as number]
    const isWhole = [at, size].every((value) => Number.isSafeInteger(value) && value >= 0 && value % unit === 0)
    if (!isWhole || at + size > flashBytes)
      throw coreError('INVALID_RANGE', `device ${id}: expected a place in ${flashBytes} bytes, found ${size} at ${at}`)
    return [at, at + size]
  }
  const words: Readonly<Record<string, Answering>> = {
    hello: async () => ({ said: { maxChunkBytes: null, blockBytes } }),
    read: async ({ offset, length }) => ({ said: {}, bytes: flash.slice(...place(offset, length)) }),
    erase: async ({ offset, length }) => {
      flash.fill(0xff, ...place(offset, length, blockBytes))
      return { said: {} }
    },
    write: async ({ offset }, bytes) => {
      const [at] = place(offset, bytes.length)
      for (const [index, byte] of bytes.entries()) flash[at + index] = (flash[at + index] as number) & byte
      return { said: {} }
    },
    md5: async ({ offset, length }) => ({
      said: {},
      bytes: new Uint8Array(
        createHash('md5')
          .update(flash.subarray(...place(offset, length)))
          .digest(),
      ),
    }),
    reset: async () => {
      resets += 1
      return { said: {} }
    },
    evidence: async (_said, bytes) => {
      const { mediaType, body } = evidenceOf(bytes, new Uint8Array())
      return { said: { mediaType }, bytes: body }
    },
  }
  const wire = memoryWire((channel) => answerFrames(channel, answeringBy(words)))
  network.set(id, wire)
  return {
    device: { id },
    wire,
    blockBytes,
    content: async () => flash.slice(),
    resets: async () => resets,
    connections: async () => wire.channels,
    evidence: async (challenge) => evidenceOf(challenge, new Uint8Array()),
  }
}

function answeringBy(words: Readonly<Record<string, Answering>>): Answering {
  return async (said, bytes) => {
    const answer = words[String(said.word)]
    if (answer === undefined) throw coreError('INVALID_VALUE', `expected a word of this device, found ${String(said.word)}`)
    return answer(said, bytes)
  }
}
