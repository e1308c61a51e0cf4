import type { Json } from '@reflash/core'

/** Reads the fields of a JSON object one by one, and refuses what is missing, of the wrong type, or not asked for. */
export interface JsonFields {
  integer(name: string, most?: number): number
  optionalInteger(name: string, most?: number): number | undefined
  text(name: string): string
  has(name: string): boolean
  matching(name: string, pattern: RegExp): string
  oneOf<const T extends readonly string[]>(name: string, values: T): T[number]
  optionalOneOf<const T extends readonly string[]>(name: string, values: T): T[number] | undefined
  /** Fields of an object within; undefined where it is absent. */
  within(name: string): JsonFields | undefined
  /** Refuses fields that nobody read. */
  end(): void
}

/** `refuse` gets what was expected and what was found, and makes the error to be thrown. */
export function jsonFields(value: Json | undefined, refuse: (message: string) => Error, path = ''): JsonFields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse(`${path || 'value'}: expected an object, found ${show(value)}`)
  const record = value as Readonly<Record<string, Json>>
  const read = new Set<string>()
  const get = (name: string): Json | undefined => {
    read.add(name)
    return Object.hasOwn(record, name) ? record[name] : undefined
  }
  const wrong = (name: string, expected: string): Error => refuse(`${path}${name}: expected ${expected}, found ${show(get(name))}`)
  const fields: JsonFields = {
    integer: (name, most = Number.MAX_SAFE_INTEGER) => {
      const found = get(name)
      if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0 || found > most)
        throw wrong(name, `an integer from 0 to ${most}`)
      return found
    },
    optionalInteger: (name, most) => (get(name) === undefined ? undefined : fields.integer(name, most)),
    has: (name) => get(name) !== undefined,
    text: (name) => {
      const found = get(name)
      if (typeof found !== 'string') throw wrong(name, 'text')
      return found
    },
    matching: (name, pattern) => {
      const found = get(name)
      if (typeof found !== 'string' || !pattern.test(found)) throw wrong(name, `text like ${pattern.source}`)
      return found
    },
    oneOf: (name, values) => {
      const found = get(name)
      if (typeof found !== 'string' || !values.includes(found)) throw wrong(name, `one of ${values.join(', ')}`)
      return found
    },
    optionalOneOf: (name, values) => (get(name) === undefined ? undefined : fields.oneOf(name, values)),
    within: (name) => (get(name) === undefined ? undefined : jsonFields(get(name), refuse, `${path}${name}.`)),
    end: () => {
      const unknown = Object.keys(record).find((name) => !read.has(name))
      if (unknown !== undefined) throw refuse(`${path || 'value'}: expected no field ${show(unknown)}`)
    },
  }
  return fields
}

function show(value: Json | undefined): string {
  if (value === undefined) return 'none'
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : value === null ? 'null' : 'an object'
  return typeof value === 'string' ? JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value) : String(value)
}
