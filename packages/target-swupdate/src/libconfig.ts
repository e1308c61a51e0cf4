import { fail } from './swupdate-errors.ts'

/** What libconfig can say, as plain values: groups are objects, lists and arrays are arrays. */
export type ConfigValue = string | number | boolean | readonly ConfigValue[] | ConfigGroup
export interface ConfigGroup {
  readonly [name: string]: ConfigValue
}

/** Levels of groups and lists: a description with a software set, a mode and images has 6. */
const depthLimit = 16

/*
 * The grammar of libconfig 1.7, without @include (a server must not open files because an upload says so):
 *
 *   settings := { name ("=" | ":") value [";" | ","] }
 *   value    := string+ | number | true | false | "{" settings "}" | "(" [value {"," value}] ")" | "[" [value {"," value}] "]"
 *   string   := '"' ... '"' with \\ \" \n \r \t \f \xHH; strings side by side are one
 *   number   := decimal, 0x hexadecimal, either with L; decimal with point or exponent
 *   name     := a letter or "*", then letters, digits, "-", "_", "*"
 *   comments := # ... // ... and slash star ... star slash
 */
const token =
  /\s+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|("[^"\\]*(?:\\[\s\S][^"\\]*)*")|([-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)L{0,2})|([A-Za-z*][A-Za-z0-9_*-]*)|([=:;,{}()[\]])/gy

interface Token {
  readonly is: 'string' | 'number' | 'name' | 'sign' | 'end'
  readonly text: string
  readonly line: number
}

/**
 * Reads a libconfig text.
 * @throws `SW_DESCRIPTION_INVALID` naming the line
 */
export function parseConfig(text: string): ConfigGroup {
  const tokens = tokenized(text)
  let at = 0
  const peek = (): Token => tokens[at] as Token
  const next = (): Token => tokens[at++] as Token
  const isSign = (text: string): boolean => peek().is === 'sign' && peek().text === text
  const wrong = (expected: string, { is, text, line }: Token): Error =>
    fail(
      'SW_DESCRIPTION_INVALID',
      `line ${line}: expected ${expected}, found ${is === 'end' ? 'the end' : JSON.stringify(text.slice(0, 40))}`,
    )

  function settings(closing: string | undefined, depth: number): ConfigGroup {
    const group: Record<string, ConfigValue> = Object.create(null) as Record<string, ConfigValue>
    for (;;) {
      if (closing === undefined ? peek().is === 'end' : isSign(closing)) {
        at++
        return group
      }
      const name = next()
      if (name.is !== 'name') throw wrong(closing === undefined ? 'a name' : `a name or ${closing}`, name)
      if (name.text in group) throw wrong('each name once', name)
      if (!isSign('=') && !isSign(':')) throw wrong('= or :', peek())
      at++
      group[name.text] = value(depth)
      if (isSign(';') || isSign(',')) at++
    }
  }

  function value(depth: number): ConfigValue {
    const first = next()
    if (depth > depthLimit) throw wrong(`at most ${depthLimit} levels`, first)
    if (first.is === 'string') {
      let joined = unquoted(first.text)
      while (peek().is === 'string') joined += unquoted(next().text)
      return joined
    }
    if (first.is === 'number') return Number(first.text.replace(/L+$/, ''))
    if (first.is === 'name' && /^(true|false)$/i.test(first.text)) return first.text.toLowerCase() === 'true'
    if (first.is === 'sign' && first.text === '{') return settings('}', depth + 1)
    if (first.is === 'sign' && (first.text === '(' || first.text === '[')) return list(first.text === '(' ? ')' : ']', depth + 1)
    throw wrong('a value', first)
  }

  function list(closing: string, depth: number): readonly ConfigValue[] {
    const values: ConfigValue[] = []
    while (!isSign(closing)) {
      values.push(value(depth))
      if (isSign(',')) at++
      else if (!isSign(closing)) throw wrong(`, or ${closing}`, peek())
    }
    at++
    return values
  }

  return settings(undefined, 0)
}

function tokenized(text: string): readonly Token[] {
  const tokens: Token[] = []
  let line = 1
  token.lastIndex = 0
  for (let at = 0; at < text.length; at = token.lastIndex) {
    const match = token.exec(text)
    if (match === null) {
      throw fail('SW_DESCRIPTION_INVALID', `line ${line}: expected libconfig, found ${JSON.stringify(text.slice(at, at + 20))}`)
    }
    const [whole, string, number, name, sign] = match
    if (string !== undefined) tokens.push({ is: 'string', text: string, line })
    else if (number !== undefined) tokens.push({ is: 'number', text: number, line })
    else if (name !== undefined) tokens.push({ is: 'name', text: name, line })
    else if (sign !== undefined) tokens.push({ is: 'sign', text: sign, line })
    for (const letter of whole) if (letter === '\n') line++
  }
  tokens.push({ is: 'end', text: '', line })
  return tokens
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f' }

function unquoted(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|([\s\S]))/g, (_, hex: string | undefined, letter: string) =>
      hex === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}
