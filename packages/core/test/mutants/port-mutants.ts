import { type AgentPort, type Connection, coreError, type Digest, isOtaError, type RunContext } from '@reflash/core'
import type { Mutant } from './mutant.ts'
import { agentMutant, connectionMutant, flashMutant } from './transport-maker.ts'

const other: Digest = `sha256:${'0'.repeat(64)}`
const blockBytes = 1024

/** How a port `agent` carries. */
export const agentPortMutants: readonly Mutant[] = [
  agentMutant('agent/chunks', 'takes chunks at multiples of its largest only', ({ write, maxChunkBytes }) => ({
    write: async (offset, bytes, context) => {
      if (offset % maxChunkBytes !== 0) throw coreError('INVALID_RANGE', 'expected a whole chunk before, found less')
      await write(offset, bytes, context)
    },
  })),
  agentMutant('agent/acknowledged', 'sends a chunk when the next one comes', keptBack),
  agentMutant('agent/resumes', 'begins anew with each connection', ({ begin }) => {
    let isBegun = false
    return {
      begin: async (image, context) => {
        if (!isBegun) await begin({ ...image, digest: other }, context)
        isBegun = true
        return begin(image, context)
      },
    }
  }),
  agentMutant('agent/missing', 'calls all of an image missing', ({ begin, missing }) => {
    let size = 0
    return {
      begin: async (image, context) => {
        size = image.size
        return begin(image, context)
      },
      async *missing(context) {
        for await (const _ of missing?.(context) ?? []);
        yield { offset: 0, length: size }
      },
    }
  }),
  agentMutant('agent/misplaced', 'drops chunks behind the end, and says that they are written', ({ begin, write }) => {
    let size = Number.POSITIVE_INFINITY
    return {
      begin: async (image, context) => {
        size = image.size
        return begin(image, context)
      },
      write: async (offset, bytes, context) => {
        if (offset + bytes.length <= size || context.signal.aborted) await write(offset, bytes, context)
      },
    }
  }),
  agentMutant('agent/incomplete', 'keeps to itself that the device refuses an image', ({ activate }) => ({
    activate: (context) => activate(context).catch(unless((error) => isOtaError(error) && error.code === 'DIGEST_MISMATCH')),
  })),
  connectionMutant('agent/lost-answer', 'says that nothing was activated where the answer was lost', lostAnswer),
]

const unless =
  (swallowed: (error: unknown) => boolean) =>
  (error: unknown): void => {
    if (!swallowed(error)) throw error
  }

/** One chunk stays behind until another comes, or the image is whole. */
function keptBack({ begin, write, status }: AgentPort): Partial<AgentPort> {
  let size = 0
  let kept: { readonly offset: number; readonly bytes: Uint8Array } | undefined
  const flush = async (context: RunContext): Promise<void> => {
    const chunk = kept
    kept = undefined
    if (chunk !== undefined) await write(chunk.offset, chunk.bytes, context)
  }
  return {
    begin: async (image, context) => {
      await flush(context)
      size = image.size
      return begin(image, context)
    },
    write: async (offset, bytes, context) => {
      await flush(context)
      await status(context)
      if (context.signal.aborted || offset + bytes.length >= size) return write(offset, bytes, context)
      kept = { offset, bytes }
    },
    status: async (context) => {
      await flush(context)
      return status(context)
    },
  }
}

function lostAnswer({ port, [Symbol.asyncDispose]: end }: Connection<'agent'>): Partial<Connection<'agent'>> {
  let isOver = false
  return {
    port: {
      ...port,
      activate: (context) =>
        port.activate(context).catch(unless((error) => !isOver && isOtaError(error) && error.message.includes('found none in'))),
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true
      await end()
    },
  }
}

/** How a port `flash` carries. */
export const flashPortMutants: readonly Mutant[] = [
  flashMutant('flash/reads', 'reads no more than goes into one message', ({ read }) => ({
    read: (offset, length, context) => read(offset, Math.min(length, 2048), context),
  })),
  flashMutant('flash/erases', 'erases a block more', ({ erase, read }) => ({
    erase: async (offset, length, context) => {
      await erase(offset, length, context)
      await read(offset + length, blockBytes, context)
      await erase(offset + length, blockBytes, context)
    },
  })),
  flashMutant('flash/writes', 'fills up with zeros what it writes', ({ write }) => ({
    write: (offset, bytes, context) => {
      const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
      padded.set(bytes)
      return write(offset, padded, context)
    },
  })),
  flashMutant('flash/clears-bits', 'erases before it writes', ({ read, erase, write }) => ({
    write: async (offset, bytes, context) => {
      if (!Number.isInteger(offset) || offset < 0 || context.signal.aborted) return write(offset, bytes, context)
      const start = Math.floor(offset / blockBytes) * blockBytes
      const length = Math.ceil((offset + bytes.length - start) / blockBytes) * blockBytes
      const content = await read(start, length, context)
      content.set(bytes, offset - start)
      await erase(start, length, context)
      await write(start, content, context)
    },
  })),
  flashMutant('flash/md5', 'remembers an MD5', ({ md5 }) => {
    const known = new Map<string, Promise<Uint8Array> | undefined>()
    return {
      md5: (offset, length, context) => {
        const key = `${offset} ${length}`
        if (context.signal.aborted || length === 16) return md5?.(offset, length, context) as Promise<Uint8Array>
        if (!known.has(key)) known.set(key, md5?.(offset, length, context))
        return known.get(key) as Promise<Uint8Array>
      },
    }
  }),
  flashMutant('flash/bounds', 'reads 0xFF where there is no flash', ({ read }) => ({
    read: (offset, length, context) =>
      read(offset, length, context).catch((error: unknown) => {
        if (isOtaError(error) && error.code === 'INVALID_RANGE') return new Uint8Array(Math.max(0, length)).fill(0xff)
        throw error
      }),
  })),
  flashMutant('flash/resets', 'resets twice, to be sure', ({ reset }) => ({
    reset: async (context) => {
      await reset(context)
      await reset(context)
    },
  })),
]
