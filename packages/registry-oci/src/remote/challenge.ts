/** One challenge of a WWW-Authenticate header; the scheme and the names of parameters in lower case. */
export interface Challenge {
  readonly scheme: string
  readonly token68?: string
  readonly parameters: ReadonlyMap<string, string>
}

// Registries send some hundred bytes; what is longer is not read.
const headerLimit = 16_384
const challengeLimit = 16

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y
const parameter = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))/y
const spaces = /[ \t]*/y
const separators = /(?:[ \t]*,)*[ \t]*/y

/**
 * Reads WWW-Authenticate (RFC 9110, 11.6.1). Several challenges may share one header, parted by the same commas as their parameters:
 *
 * | part          | form                                                        |
 * |---------------|-------------------------------------------------------------|
 * | header        | challenge *( "," challenge ), empty elements allowed        |
 * | challenge     | scheme [ 1*SP ( token68 / parameter *( "," parameter ) ) ]  |
 * | parameter     | name "=" ( token / quoted-string with backslash escapes )   |
 *
 * What cannot be read ends the reading: the challenges before it stand. It never throws.
 */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const text = typeof header === 'string' ? header : (header ?? []).join(', ')
  return text.length > headerLimit ? [] : read(text)
}

function read(text: string): readonly Challenge[] {
  const challenges: Challenge[] = []
  let at = skip(separators, text, 0)
  while (at < text.length && challenges.length < challengeLimit) {
    const scheme = match(token, text, at)
    if (scheme === undefined) break
    at += scheme[0].length
    const gap = skip(spaces, text, at) - at
    if (gap === 0 && at < text.length && text[at] !== ',') break
    at += gap
    const alone = gap === 0 ? undefined : match(token68, text, at)
    const parameters = new Map<string, string>()
    if (alone !== undefined && match(parameter, text, at) === undefined) at += alone[0].length
    else if (gap > 0) at = readParameters(text, at, parameters)
    const isToken68 = alone !== undefined && parameters.size === 0
    challenges.push({ scheme: scheme[0].toLowerCase(), ...(isToken68 ? { token68: alone[0] } : {}), parameters })
    const next = skip(separators, text, at)
    // Whatever follows without a comma cannot be told apart from this challenge.
    if (next < text.length && !text.slice(at, next).includes(',')) break
    at = next
  }
  return challenges
}

/** Fills `parameters` and returns where the next element begins: a name without "=" is the scheme of the next challenge. */
function readParameters(text: string, from: number, parameters: Map<string, string>): number {
  let at = from
  for (let begin = from; ; begin = skip(separators, text, at)) {
    if (begin !== from && !text.slice(at, begin).includes(',')) return at
    const found = match(parameter, text, begin)
    if (found === undefined) return at
    const [whole, name = '', quoted, bare = ''] = found
    // RFC 9110, 11.2: a name once per challenge. The first stands, so that a proxy cannot append another realm.
    const key = name.toLowerCase()
    if (!parameters.has(key)) parameters.set(key, quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'))
    at = begin + whole.length
  }
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}

function skip(pattern: RegExp, text: string, at: number): number {
  return at + (match(pattern, text, at)?.[0].length ?? 0)
}
