import type { CallOptions } from '@reflash/core'
import { aborted } from '@reflash/core'

/** What came of one question of a batch. */
export type Outcome<A> = { readonly answer: A } | { readonly error: unknown }

interface Waiting<Q, A> {
  readonly question: Q
  readonly signal: CallOptions['signal']
  readonly settle: (outcome: Outcome<A>) => void
}

/** Questions of one batch: a statement has some parameters for each, and databases take thousands of them. */
const perBatch = 256

/**
 * Answers questions about one thing one batch after the other: what comes while a batch is under way is the next one. So however many ask at once,
 * one of them waits for the lock of the thing, and a lock that takes long to come serves the more with it.
 */
export function batches<Q, A>(
  answer: (key: string, questions: readonly Q[]) => Promise<readonly Outcome<A>[]>,
): (key: string, question: Q, signal: CallOptions['signal']) => Promise<A> {
  const queues = new Map<string, Waiting<Q, A>[]>()

  async function run(key: string, queue: Waiting<Q, A>[]): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.splice(0, perBatch).filter(({ signal, settle }) => {
        if (signal?.aborted !== true) return true
        settle({ error: aborted(signal) })
        return false
      })
      if (batch.length === 0) continue
      try {
        const outcomes = await answer(
          key,
          batch.map(({ question }) => question),
        )
        for (const [index, { settle }] of batch.entries()) settle(outcomes[index] as Outcome<A>)
      } catch (error) {
        for (const { settle } of batch) settle({ error })
      }
    }
    queues.delete(key)
  }

  return (key, question, signal) =>
    new Promise((resolve, reject) => {
      const settle = (outcome: Outcome<A>): void => ('answer' in outcome ? resolve(outcome.answer) : reject(outcome.error))
      const waiting = { question, signal, settle }
      const queue = queues.get(key)
      if (queue !== undefined) {
        queue.push(waiting)
        return
      }
      const begun = [waiting]
      queues.set(key, begun)
      void run(key, begun)
    })
}
