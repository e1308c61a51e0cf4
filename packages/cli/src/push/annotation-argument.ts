import { annotations } from '@reflash/core'
import { fail } from '../cli-errors.ts'

/** OCI image spec, annotations.md, asks for reverse domain names; all that matters here is that a key is one word. */
const keyPattern = /^[!-~]{1,256}$/
/** Characters; the manifest that carries it may have 4 MiB in all. */
const valueLimit = 65_536

/** What the command itself writes: by hand it could only disagree. */
const reserved: ReadonlyMap<string, string> = new Map([
  [annotations.version, 'the version goes from the tag into the manifest'],
  [annotations.platform, 'write <file>@<platform>'],
  [annotations.product, 'use --product'],
  [annotations.title, 'it is the name of the file'],
  [annotations.created, 'it is the time of the push'],
])

/**
 * Reads every `--annotation k=v`.
 * @throws `USAGE`
 */
export function parseAnnotations(texts: readonly string[]): Readonly<Record<string, string>> {
  const found = new Map<string, string>()
  for (const text of texts) {
    const equals = text.indexOf('=')
    const key = text.slice(0, equals)
    if (equals < 0 || !keyPattern.test(key)) {
      throw fail('USAGE', `--annotation: expected key=value with a key without spaces, found ${JSON.stringify(text.slice(0, 100))}`)
    }
    const better = reserved.get(key)
    if (better !== undefined) throw fail('USAGE', `--annotation: ${key} cannot be set by hand: ${better}`)
    if (found.has(key)) throw fail('USAGE', `--annotation: expected each key once, found ${key} twice`)
    const value = text.slice(equals + 1)
    if (value.length > valueLimit)
      throw fail('USAGE', `--annotation: expected at most ${valueLimit} characters for ${key}, found ${value.length}`)
    found.set(key, value)
  }
  // fromEntries defines own properties, so that a key named __proto__ stays a key.
  return Object.fromEntries(found)
}
