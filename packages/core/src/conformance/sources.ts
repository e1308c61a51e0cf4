import type { ByteStream } from '../content/byte-stream.ts'
import { nextTurn } from './within.ts'

/** A source that a rule can watch: how often it was opened, and whether it was closed before its end. */
export interface Source {
  open(): ByteStream
  readonly opened: number
  /** How many of the streams have come to their end or were closed. */
  readonly ended: number
}

type Step = IteratorResult<Uint8Array, undefined>
const end: Step = { done: true, value: undefined }

function watched(steps: () => { next(): Promise<Step>; leave?(): void }): Source {
  let opened = 0
  let ended = 0
  return {
    get opened() {
      return opened
    },
    get ended() {
      return ended
    },
    open() {
      opened += 1
      const { next, leave } = steps()
      let over = false
      const close = (): void => {
        if (!over) ended += 1
        over = true
        leave?.()
      }
      const iterator: AsyncIterator<Uint8Array, undefined> = {
        async next() {
          if (over) return end
          try {
            const step = await next()
            if (step.done) close()
            return step
          } catch (error) {
            close()
            throw error
          }
        },
        async return() {
          close()
          return end
        },
      }
      return { [Symbol.asyncIterator]: () => iterator }
    },
  }
}

/** Another stream, watched; it can be opened once. */
export function watchedSource(stream: ByteStream): Source {
  const chunks = stream[Symbol.asyncIterator]()
  return watched(() => ({
    async next() {
      const step = await chunks.next()
      return step.done ? end : { done: false, value: step.value }
    },
    leave: () => void chunks.return?.().catch(() => undefined),
  }))
}

/** The bytes, in chunks of this size. */
export function plainSource(bytes: Uint8Array, chunkBytes = 16_384): Source {
  return watched(() => {
    let at = 0
    return {
      async next() {
        if (at >= bytes.length) return end
        const value = bytes.subarray(at, at + chunkBytes)
        at += chunkBytes
        return { done: false, value }
      },
    }
  })
}

/** The bytes one chunk per turn of the event loop, with empty chunks among them. */
export function slowSource(bytes: Uint8Array, chunkBytes: number): Source {
  return watched(() => {
    let at = 0
    let isEmptyNext = true
    return {
      async next() {
        await nextTurn()
        isEmptyNext = !isEmptyNext
        if (isEmptyNext) return { done: false, value: new Uint8Array(0) }
        if (at >= bytes.length) return end
        const value = bytes.subarray(at, at + chunkBytes)
        at += chunkBytes
        return { done: false, value }
      },
    }
  })
}

/** The bytes, and then nothing more, not even an end; as a server that has stopped answering. */
export function stalledSource(bytes: Uint8Array): Source {
  return watched(() => {
    let isGiven = false
    let release: (step: Step) => void = () => {}
    return {
      next() {
        if (!isGiven) {
          isGiven = true
          return Promise.resolve<Step>({ done: false, value: bytes })
        }
        return new Promise<Step>((resolve) => {
          release = resolve
        })
      },
      leave: () => release(end),
    }
  })
}

/** The bytes, and then this error. */
export function brokenSource(bytes: Uint8Array, error: unknown): Source {
  return watched(() => {
    let isGiven = false
    return {
      async next() {
        if (isGiven) throw error
        isGiven = true
        return { done: false, value: bytes }
      },
    }
  })
}

/** Bytes without an end. */
export function endlessSource(chunkBytes = 65_536): Source {
  const value = new Uint8Array(chunkBytes)
  return watched(() => ({
    async next() {
      await nextTurn()
      return { done: false, value }
    },
  }))
}
