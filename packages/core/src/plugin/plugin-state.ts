import { createHash } from 'node:crypto'
import type { Journal } from './journal.ts'
import type { Plugin } from './plugin.ts'

/** Longer names are hashed, so that a key of 256 characters still fits beside them. */
const nameLimit = 128

/** A slice of the journal that belongs to one plugin alone. */
export function pluginState(journal: Journal, { kind, name }: Plugin<string>): Pick<Journal, 'get' | 'put'> {
  // Encoded, so that no name can end in another plugin's slice; a journal key is printable ASCII.
  const encoded = encodeURIComponent(name.toWellFormed())
  const prefix = `state/${kind}/${encoded.length > nameLimit ? createHash('sha256').update(name).digest('hex') : encoded}/`
  return {
    get: (key, options) => journal.get(prefix + key, options),
    put: (key, value, options) => journal.put(prefix + key, value, options),
  }
}
