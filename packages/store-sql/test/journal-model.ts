import { isOtaError, type Journal } from '@reflash/core'
import type { ManualClock } from '@reflash/core/testing'
import fc from 'fast-check'
import { expect } from 'vitest'

// What a journal is, in a few lines that share no code with one: the last values put, each under the number of its put.
interface Fact {
  readonly value: number
  readonly put: number
  readonly expires: number
}

export type Step =
  | { readonly do: 'put'; readonly key: string; readonly value: number; readonly guess: Guess; readonly lifeMs: number | undefined }
  | { readonly do: 'delete'; readonly key: string; readonly guess: Guess }
  | { readonly do: 'list'; readonly prefix: string }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'restart' }

/** Which version a writer names: the right one, that of no value, or that of an earlier put of any key. */
type Guess = 'right' | 'none' | number

const key = fc.constantFrom('a', 'a/', 'a/b', 'a/~', 'b', '__proto__')
const guess: fc.Arbitrary<Guess> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('right' as const) },
  { weight: 2, arbitrary: fc.constant('none' as const) },
  { weight: 1, arbitrary: fc.nat(20) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      key,
      value: fc.nat(),
      guess,
      lifeMs: fc.option(fc.integer({ min: -5, max: 50 }), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key, guess }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('list' as const), prefix: fc.constantFrom('', 'a', 'a/', 'z', 'a/b/') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** Holds that `journal` answers every step, and every read after it, as the model does. */
export async function follow(steps: readonly Step[], journal: Journal, clock: ManualClock, restart: () => Promise<Journal>): Promise<void> {
  const facts = new Map<string, Fact>()
  const versions: string[] = []
  const now = () => clock.now().getTime()
  const live = (name: string) => {
    const fact = facts.get(name)
    return fact !== undefined && fact.expires > now() ? fact : undefined
  }
  const version = (name: string, by: Guess) => {
    if (by === 'none') return null
    const fact = live(name)
    return by === 'right' ? (fact === undefined ? null : versions[fact.put]!) : (versions[by] ?? 'never')
  }
  const fits = (name: string, named: string | null) => {
    const fact = live(name)
    return named === (fact === undefined ? null : versions[fact.put])
  }
  const refused = async (change: Promise<unknown>) => {
    const error: unknown = await change.then(
      () => 'accepted',
      (reason) => reason,
    )
    expect(isOtaError(error) && error.code).toBe('JOURNAL_CONFLICT')
  }

  for (const one of steps) {
    if (one.do === 'wait') clock.advance(one.ms)
    if (one.do === 'restart') journal = await restart()
    if (one.do === 'list') {
      const expected = [...facts.keys()].filter((name) => name.startsWith(one.prefix) && live(name) !== undefined).sort()
      expect(await Array.fromAsync(journal.list(one.prefix))).toEqual(expected)
    }
    if (one.do === 'put') {
      const ifVersion = version(one.key, one.guess)
      const expires = one.lifeMs === undefined ? undefined : new Date(now() + one.lifeMs)
      const put = journal.put(one.key, one.value, { ifVersion, ...(expires && { expires }) })
      if (fits(one.key, ifVersion)) {
        const given = await put
        expect(versions).not.toContain(given)
        facts.set(one.key, { value: one.value, put: versions.push(given) - 1, expires: expires?.getTime() ?? Number.POSITIVE_INFINITY })
      } else await refused(put)
    }
    if (one.do === 'delete') {
      const ifVersion = version(one.key, one.guess) ?? 'none'
      const removal = journal.delete(one.key, { ifVersion })
      if (fits(one.key, ifVersion)) {
        await removal
        facts.delete(one.key)
      } else await refused(removal)
    }
    for (const name of ['a', 'a/', 'a/b', 'a/~', 'b', '__proto__']) {
      const fact = live(name)
      expect(await journal.get(name)).toEqual(fact && { value: fact.value, version: versions[fact.put] })
    }
  }
}

export const journalSteps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 60 })
