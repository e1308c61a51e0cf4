import { aborted, throwIfAborted } from '@reflash/core'
import type { BrokerLine } from './broker-line.ts'

/** One line to the broker for as long as somebody uses it. */
export interface SharedLine {
  /** Opens it where it is not open; all who hold it at once have the same. @throws what opening throws, `ABORTED` */
  hold(signal: AbortSignal | undefined): Promise<{ readonly line: BrokerLine; release(): Promise<void> }>
  close(): Promise<void>
}

interface Opened {
  readonly line: Promise<BrokerLine>
  readonly giveUp: AbortController
  users: number
}

export function sharedLine(open: (signal: AbortSignal) => Promise<BrokerLine>): SharedLine {
  let current: Opened | undefined

  function begin(): Opened {
    const giveUp = new AbortController()
    const opened: Opened = { line: open(giveUp.signal), giveUp, users: 0 }
    opened.line.catch(() => {
      if (current === opened) current = undefined
    })
    return opened
  }

  async function leave(opened: Opened): Promise<void> {
    opened.users -= 1
    if (opened.users > 0) return
    if (current === opened) current = undefined
    opened.giveUp.abort()
    const line = await opened.line.catch(() => undefined)
    await line?.close()
  }

  return {
    async hold(signal) {
      throwIfAborted(signal)
      current ??= begin()
      const opened = current
      opened.users += 1
      try {
        const line = await unlessAborted(opened.line, signal)
        let released: Promise<void> | undefined
        return {
          line,
          release() {
            released ??= leave(opened)
            return released
          },
        }
      } catch (error) {
        void leave(opened)
        throw error
      }
    },
    async close() {
      const opened = current
      if (opened === undefined) return
      current = undefined
      opened.giveUp.abort()
      const line = await opened.line.catch(() => undefined)
      await line?.close()
    },
  }
}

/** The caller may leave; who else waits for the line goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const left = (): void => reject(aborted(signal))
    signal.addEventListener('abort', left, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', left))
  })
}
