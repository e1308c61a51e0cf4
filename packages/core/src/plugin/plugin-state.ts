import type { Journal } from './journal.ts'
import type { Plugin } from './plugin.ts'

/** A slice of the journal that belongs to one plugin alone. */
export function pluginState(journal: Journal, { kind, name }: Plugin<string>): Pick<Journal, 'get' | 'put'> {
  const prefix = `state/${kind}/${name}/`
  return {
    get: (key, options) => journal.get(prefix + key, options),
    put: (key, value, options) => journal.put(prefix + key, value, options),
  }
}
