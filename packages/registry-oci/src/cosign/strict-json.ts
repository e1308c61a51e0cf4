import type { Json } from '@reflash/core'

/** Signature manifests nest 4 deep and payloads 3; more than this is an attack on the stack of whoever walks the value. */
const depthLimit = 32

/**
 * Reads JSON that has one meaning only: valid UTF-8 without a byte order mark, no key twice in an object, nothing behind the value.
 * Parsers differ in which of two equal keys they keep, so that what is signed and what is used could come apart.
 * `refuse` makes the error to throw.
 */
export function parseStrictJson(bytes: Uint8Array, refuse: (why: string) => Error): Json {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw refuse('it is not valid UTF-8')
  }
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    throw refuse('it is not valid JSON')
  }
  const flaw = ambiguity(text)
  if (flaw !== undefined) throw refuse(flaw)
  return value
}

/** Walks text that is known to be valid JSON, where a string before a colon is a key. */
function ambiguity(text: string): string | undefined {
  const open: Set<string>[] = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{' || character === '[') {
      if (open.push(new Set()) > depthLimit) return `it nests deeper than ${depthLimit}`
    } else if (character === '}' || character === ']') open.pop()
    else if (character === '"') {
      const start = at
      at = endOfString(text, at)
      if (!isKey(text, at + 1)) continue
      const key = JSON.parse(text.slice(start, at + 1)) as string
      const keys = open.at(-1)
      if (keys?.has(key)) return `the key ${JSON.stringify(key.slice(0, 64))} is there twice`
      keys?.add(key)
    }
  }
  return undefined
}

/** The index of the quote that closes the string which opens at `at`. */
function endOfString(text: string, at: number): number {
  let index = at + 1
  while (text[index] !== '"') index += text[index] === '\\' ? 2 : 1
  return index
}

function isKey(text: string, after: number): boolean {
  let index = after
  while (text[index] === ' ' || text[index] === '\n' || text[index] === '\r' || text[index] === '\t') index++
  return text[index] === ':'
}

/** An object which is not an array; only its own properties are looked at. */
export function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The keys of an object that are not among `known`. */
export function unknownKeys(object: object, known: readonly string[]): string[] {
  return Object.keys(object).filter((key) => !known.includes(key))
}
