import { deepStrictEqual } from 'node:assert/strict'
import { manualClock } from '../../testing/manual-clock.ts'
import { listed } from '../content.ts'
import type { JournalRule } from '../journal-suite.ts'
import { conflicts, holds, missing, rule } from './journal-rule.ts'

/** Entries that are there up to an instant, by the clock that `make` got. */
export const journalExpiryRules: readonly JournalRule[] = [
  rule('expires', 'has a value up to the instant of its expiry, and from then on none', async (_instance, { make }) => {
    const clock = manualClock()
    const { plugin } = await make({ now: clock.now })
    const expires = new Date(clock.now().getTime() + 1_000)
    await plugin.put('lease', 1, { ifVersion: null, expires })
    await plugin.put('stays', 1, { ifVersion: null })
    clock.advance(999)
    await holds(plugin, 'lease', 1)
    deepStrictEqual(await listed(plugin.list('')), ['lease', 'stays'])
    clock.advance(1)
    await missing(plugin, 'lease')
    deepStrictEqual(await listed(plugin.list('')), ['stays'], 'list: expected no expired key')
  }),
  rule('expires-exactly', 'keeps an expiry to the millisecond, however far it is', async (_instance, { make }) => {
    // Behind what 31 and 32 bits of seconds can say.
    for (const at of ['2030-06-01T00:00:00.501Z', '2038-01-19T03:14:08.499Z', '2106-02-07T06:28:16.002Z', '2999-12-31T23:59:59.999Z']) {
      const clock = manualClock()
      const { plugin } = await make({ now: clock.now })
      const expires = new Date(at)
      await plugin.put('k', 1, { ifVersion: null, expires })
      clock.set(new Date(expires.getTime() - 1))
      await holds(plugin, 'k', 1)
      clock.set(expires)
      await missing(plugin, 'k')
    }
  }),
  rule(
    'expiry-copied',
    'leaves the options of a call as they were, and heeds no change to them afterwards',
    async (_instance, { make }) => {
      const clock = manualClock()
      const { plugin } = await make({ now: clock.now })
      const expires = new Date(clock.now().getTime() + 1_000)
      const given = { ifVersion: null, expires }
      const put = plugin.put('k', 1, given)
      deepStrictEqual(given, { ifVersion: null, expires: new Date(clock.now().getTime() + 1_000) })
      await put
      expires.setTime(0)
      await holds(plugin, 'k', 1)
      expires.setTime(clock.now().getTime() + 60_000)
      clock.advance(1_000)
      await missing(plugin, 'k')
    },
  ),
  rule('expired-version', 'takes an expired value for none: it can be put anew, and its version is gone', async (_instance, { make }) => {
    const clock = manualClock()
    const { plugin } = await make({ now: clock.now })
    const expires = new Date(clock.now().getTime() + 1_000)
    const version = await plugin.put('lease', 1, { ifVersion: null, expires })
    const other = await plugin.put('other', 1, { ifVersion: null, expires })
    clock.advance(5_000)
    await conflicts('put over an expired version', () => plugin.put('lease', 2, { ifVersion: version }))
    await conflicts('delete of an expired version', () => plugin.delete('other', { ifVersion: other }))
    await plugin.put('lease', 3, { ifVersion: null })
    await holds(plugin, 'lease', 3)
  }),
  rule('expiry-replaced', 'takes the expiry of the last put, also where it names none', async (_instance, { make }) => {
    const clock = manualClock()
    const { plugin } = await make({ now: clock.now })
    const at = (milliseconds: number): Date => new Date(clock.now().getTime() + milliseconds)
    const kept = await plugin.put('kept', 1, { ifVersion: null, expires: at(1_000) })
    await plugin.put('kept', 2, { ifVersion: kept })
    const renewed = await plugin.put('renewed', 1, { ifVersion: null, expires: at(1_000) })
    await plugin.put('renewed', 2, { ifVersion: renewed, expires: at(60_000) })
    const cut = await plugin.put('cut', 1, { ifVersion: null, expires: at(60_000) })
    await plugin.put('cut', 2, { ifVersion: cut, expires: at(1_000) })
    clock.advance(10_000)
    await holds(plugin, 'kept', 2)
    await holds(plugin, 'renewed', 2)
    await missing(plugin, 'cut')
  }),
  rule('expired-at-once', 'stores nothing that can be seen where the expiry has passed already', async (_instance, { make }) => {
    const clock = manualClock()
    const { plugin } = await make({ now: clock.now })
    await plugin.put('late', 1, { ifVersion: null, expires: clock.now() })
    await plugin.put('later', 1, { ifVersion: null, expires: new Date(0) })
    await missing(plugin, 'late')
    await missing(plugin, 'later')
    deepStrictEqual(await listed(plugin.list('')), [])
  }),
]
