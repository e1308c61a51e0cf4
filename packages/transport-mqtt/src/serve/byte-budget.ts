import { aborted, throwIfAborted } from '@reflash/core'

/** Memory that many share. */
export interface ByteBudget {
  /** Waits for so many bytes, first come first served, and returns how to give them back. @throws `ABORTED` */
  take(bytes: number, signal: AbortSignal): Promise<() => void>
}

export function byteBudget(limitBytes: number): ByteBudget {
  let left = limitBytes
  const waiting: { readonly bytes: number; readonly go: () => void }[] = []

  function serve(): void {
    while (waiting[0] !== undefined && waiting[0].bytes <= left) {
      const first = waiting.shift()
      left -= first?.bytes ?? 0
      first?.go()
    }
  }

  function giveBack(bytes: number): () => void {
    let isBack = false
    return () => {
      if (isBack) return
      isBack = true
      left += bytes
      serve()
    }
  }

  return {
    take(bytes, signal) {
      throwIfAborted(signal)
      return new Promise((resolve, reject) => {
        const entry = {
          bytes,
          go: () => {
            signal.removeEventListener('abort', leave)
            resolve(giveBack(bytes))
          },
        }
        const leave = (): void => {
          waiting.splice(waiting.indexOf(entry), 1)
          serve()
          reject(aborted(signal))
        }
        signal.addEventListener('abort', leave, { once: true })
        waiting.push(entry)
        serve()
      })
    },
  }
}
