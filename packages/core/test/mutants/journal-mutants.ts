import { coreError, type Journal, type JournalEntry, type Json, throwIfAborted } from '@reflash/core'
import { journalRules } from '@reflash/core/conformance'
import { memoryJournal } from '@reflash/core/testing'
import { closing } from '../support/closing.ts'
import { rightJournal } from '../support/right-plugins.ts'
import { briefMs, type Mutant, type MutantTable, mutantsOf, never, sharing, turn } from './mutant.ts'

const { plugin, instance, options, common } = mutantsOf(journalRules, rightJournal)
const nothing = async (): Promise<void> => {}

const entries: readonly Mutant[] = [
  plugin('empty', 'lists a key of its own', ({ list }) => ({
    async *list(prefix, given) {
      if (prefix === '') yield '!schema'
      yield* list(prefix, given)
    },
  })),
  plugin('put-get', 'reads under another version than it wrote', ({ get }) => ({
    get: async (key, given) => {
      const entry = await get(key, given)
      return entry && { ...entry, version: `${entry.version}.0` }
    },
  })),
  plugin('json', 'replaces half a surrogate pair, as UTF-8 does', ({ put }) => ({
    put: (key, value, given) => put(key, typeof value === 'string' ? value.toWellFormed() : value, given),
  })),
  plugin('json', 'composes letters', ({ put }) => ({
    put: (key, value, given) => put(key, JSON.parse(JSON.stringify(value).normalize('NFC')) as Json, given),
  })),
  plugin('json-text', 'writes times as people read them', ({ put }) => ({
    put: (key, value, given) => {
      const { at } = (value ?? {}) as { readonly at?: unknown }
      return put(key, at instanceof Date ? { at: at.toUTCString() } : value, given)
    },
  })),
  plugin('copies', 'gives every reader the same object', ({ get }) => {
    const known = new Map<string, JournalEntry>()
    return {
      get: async (key, given) => {
        const entry = await get(key, given)
        if (entry === undefined) return undefined
        const same = known.get(`${key} ${entry.version}`) ?? entry
        known.set(`${key} ${entry.version}`, same)
        return same
      },
    }
  }),
  plugin('replace', 'returns the version that was replaced', ({ put }) => ({
    put: async (key, value, given) => {
      const version = await put(key, value, given)
      return given.ifVersion ?? version
    },
  })),
  plugin('put-conflict', 'puts over any version', ({ get, put }) => ({
    put: async (key, value, given) => put(key, value, { ...given, ifVersion: (await get(key))?.version ?? null }),
  })),
  plugin('delete', 'deletes every key that begins with the key', ({ get, delete: remove, list }) => ({
    delete: async (key, given) => {
      await remove(key, given)
      for await (const other of list(key)) await remove(other, { ifVersion: (await get(other))?.version ?? '' })
    },
  })),
  plugin('versions-once', 'counts versions anew where a value was deleted', (right) => countingAnew(right)),
  options('isolated', 'shares its entries with every other', sharing),
]

/** Versions by key, which begin with 1 again after a deletion. */
function countingAnew({ get, put, delete: remove }: Journal): Partial<Journal> {
  const known = new Map<string, { readonly real: string; readonly shown: string }>()
  const realOf = (key: string, shown: string): string => (known.get(key)?.shown === shown ? (known.get(key)?.real ?? '') : 'stale')
  return {
    get: async (key, given) => {
      const entry = await get(key, given)
      return entry && { ...entry, version: known.get(key)?.shown ?? entry.version }
    },
    put: async (key, value, given) => {
      const ifVersion = given.ifVersion === null ? null : realOf(key, given.ifVersion)
      const real = await put(key, value, { ...given, ifVersion })
      const shown = String(1 + Number(known.get(key)?.shown ?? 0))
      known.set(key, { real, shown })
      return shown
    },
    delete: async (key, given) => {
      await remove(key, { ...given, ifVersion: realOf(key, given.ifVersion) })
      known.delete(key)
    },
  }
}

const lists: readonly Mutant[] = [
  plugin('list-prefix', 'takes % for a wildcard', ({ list }) => ({
    list: (prefix, given) => list(prefix.replaceAll('%', ''), given),
  })),
  plugin('list-order', 'lists as a dictionary does', ({ list }) => ({
    async *list(prefix, given) {
      const keys: string[] = []
      for await (const key of list(prefix, given)) keys.push(key)
      yield* keys.sort((a, b) => a.localeCompare(b))
    },
  })),
  plugin('list-many', 'lists the first thousand', ({ list }) => ({
    async *list(prefix, given) {
      let count = 0
      for await (const key of list(prefix, given)) {
        if (++count > 1_000) return
        yield key
      }
    },
  })),
  plugin('list-while-writing', 'ends a list where something is deleted meanwhile', ({ list, delete: remove }) => {
    let deletions = 0
    return {
      delete: async (key, given) => {
        await remove(key, given)
        deletions += 1
      },
      async *list(prefix, given) {
        const before = deletions
        for await (const key of list(prefix, given)) {
          if (deletions !== before) return
          yield key
        }
      },
    }
  }),
  plugin('list-left', 'stays locked by a list that was left', ({ list }) => {
    let isLocked = false
    return {
      async *list(prefix, given) {
        if (isLocked) throw coreError('JOURNAL_UNAVAILABLE', 'expected no list that runs, found one')
        isLocked = true
        yield* list(prefix, given)
        isLocked = false
      },
    }
  }),
]

const expiry: readonly Mutant[] = [
  options('expires', 'keeps a value a millisecond too long', (right) => ({
    ...right,
    make: ({ now }) => right.make({ now: () => new Date(now().getTime() - 1) }),
  })),
  plugin('expires-exactly', 'keeps whole seconds', ({ put }) => ({
    put: (key, value, { expires, ...given }) =>
      put(key, value, expires === undefined ? given : { ...given, expires: new Date(Math.floor(expires.getTime() / 1_000) * 1_000) }),
  })),
  plugin('expires-exactly', 'keeps seconds in 32 bits', ({ put }) => ({
    put: (key, value, { expires, ...given }) =>
      put(key, value, expires === undefined ? given : { ...given, expires: new Date(expires.getTime() % (2 ** 32 * 1_000)) }),
  })),
  plugin('expiry-copied', 'keeps the expiry that it was given, and not a copy', ({ get, put }, { now }) => {
    const ends = new Map<string, Date | undefined>()
    return {
      get: async (key, given) => ((ends.get(key)?.getTime() ?? Number.POSITIVE_INFINITY) <= now().getTime() ? undefined : get(key, given)),
      put: async (key, value, given) => {
        const version = await put(key, value, given)
        ends.set(key, given.expires)
        return version
      },
    }
  }),
  plugin('expired-version', 'hides what has expired, but compares with it', ({ get, put, list }, { now }) => {
    const ends = new Map<string, number>()
    const isOver = (key: string): boolean => (ends.get(key) ?? Number.POSITIVE_INFINITY) <= now().getTime()
    return {
      get: async (key, given) => (isOver(key) ? undefined : get(key, given)),
      put: async (key, value, { expires, ...given }) => {
        const version = await put(key, value, given)
        ends.set(key, expires?.getTime() ?? Number.POSITIVE_INFINITY)
        return version
      },
      async *list(prefix, given) {
        for await (const key of list(prefix, given)) if (!isOver(key)) yield key
      },
    }
  }),
  plugin('expiry-replaced', 'keeps the expiry where a put names none', ({ put }) => {
    const before = new Map<string, Date>()
    return {
      put: async (key, value, given) => {
        const expires = given.expires ?? (given.ifVersion === null ? undefined : before.get(key))
        const version = await put(key, value, { ...given, ...(expires === undefined ? {} : { expires }) })
        if (expires !== undefined) before.set(key, expires)
        return version
      },
    }
  }),
  plugin('expired-at-once', 'takes an expiry that has passed for none', ({ put }, { now }) => ({
    put: (key, value, { expires, ...given }) => put(key, value, expires === undefined || expires <= now() ? given : { ...given, expires }),
  })),
]

const hostile: readonly Mutant[] = [
  plugin('keys-wild', 'takes keys of up to 255 characters', ({ put }) => ({
    put: async (key, value, given) => {
      if (key.length > 255) throw coreError('INVALID_KEY', `expected at most 255 characters, found ${key.length}`)
      return put(key, value, given)
    },
  })),
  plugin('keys-invalid', 'says that there is nothing under a key that cannot be', ({ get }) => ({
    get: (key, given) => get(typeof key === 'string' && /^[ -~]{1,512}$/.test(key) ? key : 'none', given),
  })),
  plugin('values-invalid', 'takes undefined for null', ({ put }) => ({
    put: (key, value, given) => put(key, value === undefined ? null : value, given),
  })),
  plugin('values-large', 'takes a value of up to 512 KiB', ({ put }) => ({
    put: async (key, value, given) => {
      if (typeof value === 'string' && value.length * 3 > 512 * 1024) throw coreError('TOO_LARGE', 'expected at most 512 KiB, found more')
      return put(key, value, given)
    },
  })),
  plugin('expiry-invalid', 'takes an expiry that is no time for none', ({ put }) => ({
    put: (key, value, { expires, ...given }) =>
      put(key, value, expires === undefined || Number.isNaN(expires.getTime()) ? given : { ...given, expires }),
  })),
]

const writers: readonly Mutant[] = [
  plugin('one-winner', 'compares the version and writes a moment later', ({ get, put }) => ({
    put: async (key, value, given) => {
      if (((await get(key))?.version ?? null) !== given.ifVersion) return put(key, value, given)
      await turn()
      return put(key, value, { ...given, ifVersion: (await get(key))?.version ?? null })
    },
  })),
  plugin('no-lost-update', 'reads the value of one moment and the version of the next', ({ get }) => ({
    get: async (key, given) => {
      const before = await get(key, given)
      await turn()
      const after = await get(key, given)
      return after && { version: after.version, value: before?.value ?? after.value }
    },
  })),
  plugin('read-your-write', 'shows what a crowd writes a moment after it was acknowledged', ({ get, put }) => {
    const late = new Set<string>()
    const running = new Set<string>()
    return {
      get: async (key, given) => (late.has(key) ? undefined : get(key, given)),
      put: async (key, value, given) => {
        running.add(key)
        if (running.size > 5) late.add(key)
        try {
          return await put(key, value, given)
        } finally {
          running.delete(key)
          void turn().then(() => late.delete(key))
        }
      },
    }
  }),
  instance('durable', 'counts versions anew after a restart', (made, { now }) => ({
    ...made,
    again: async () => {
      const reopened = memoryJournal({ now })
      for await (const key of made.plugin.list('')) {
        const { value } = (await made.plugin.get(key)) as JournalEntry
        await reopened.put(key, value, { ifVersion: null })
      }
      return closing(reopened)
    },
  })),
  instance('two-plugins', 'has entries of its own in each process', (made, { now }) => ({
    ...made,
    second: async () => closing(memoryJournal({ now })),
  })),
]

const ends: readonly Mutant[] = [
  plugin('abort-before', 'reads for a caller who has left', ({ get }) => ({ get: (key) => get(key) })),
  plugin(
    'abort-during',
    'never tells a caller who has left',
    ({ put }) => ({
      put: async (key, value, given) => {
        const version = await put(key, value, given)
        await turn()
        return given.signal?.aborted ? never() : version
      },
    }),
    briefMs,
  ),
  plugin('abort-after', 'takes back what was done when its caller leaves later', ({ put, delete: remove }) => ({
    put: async (key, value, given) => {
      const version = await put(key, value, given)
      const undo = (): void => void remove(key, { ifVersion: version }).catch(() => undefined)
      given.signal?.addEventListener('abort', undo, { once: true })
      return version
    },
  })),
  plugin('abort-list', 'looks once whether its caller has left, at the beginning of a list', ({ list }) => ({
    async *list(prefix, given) {
      throwIfAborted(given?.signal)
      yield* list(prefix)
    },
  })),
  options('closed', 'reads after it was closed', (right) => ({
    ...right,
    make: async ({ now }) => {
      const journal = memoryJournal({ now })
      const plugin = Object.freeze<Journal>({ ...closing(journal), get: journal.get })
      return { plugin, again: async () => closing(journal), second: async () => closing(journal), dispose: nothing }
    },
  })),
  options('close-waits', 'acknowledges what it loses when it is closed', (right) => ({
    ...right,
    make: async ({ now }) => {
      const journal = memoryJournal({ now })
      return { plugin: losing(journal), again: async () => closing(journal), second: async () => closing(journal), dispose: nothing }
    },
  })),
]

/** What is being put when it is closed is acknowledged and lost. */
function losing(journal: Journal): Journal {
  const running = new Set<string>()
  const closed = closing(journal)
  return Object.freeze<Journal>({
    ...closed,
    put: async (key: string, value: Json, given) => {
      running.add(key)
      try {
        const version = await closed.put(key, value, given)
        await turn()
        return version
      } finally {
        running.delete(key)
      }
    },
    close: async () => {
      const lost = [...running]
      await closed.close?.()
      for (const key of lost) await journal.delete(key, { ifVersion: (await journal.get(key))?.version ?? '' })
    },
  })
}

export const journalMutants: MutantTable = {
  suite: journalRules.kind,
  rules: journalRules.rules.map(({ id }) => id),
  mutants: [...common('list'), ...entries, ...lists, ...expiry, ...hostile, ...writers, ...ends],
  unbroken: {},
}
