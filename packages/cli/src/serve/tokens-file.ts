import { open, readFile } from 'node:fs/promises'
import { fail } from '../cli-errors.ts'
import { readError } from '../files.ts'

/** Bytes: a line for each of a million devices. */
const fileLimitBytes = 256 * 1024 * 1024

export interface TokensFile {
  readonly tokens: ReadonlyMap<string, string>
  /** Whether other users of the machine can read the file. */
  readonly openToOthers: boolean
}

/**
 * Reads the tokens of devices: a line `device-id token` each (`id=token` and `id:token` are read too; # begins a comment), or one JSON object
 * { id: token }. A token may be given as `sha256:<hex of its SHA-256>`. No message ever quotes a line.
 * @throws `TOKENS_UNREADABLE`, `FILE_NOT_FOUND`, `FILE_NOT_READABLE`
 */
export async function readTokensFile(path: string): Promise<TokensFile> {
  try {
    const file = await open(path)
    try {
      const { size, mode } = await file.stat()
      if (size > fileLimitBytes) throw fail('TOKENS_UNREADABLE', `${path}: expected at most ${fileLimitBytes} bytes, found ${size}`)
      return { tokens: parseTokens(await readFile(file, 'utf8'), path), openToOthers: (mode & 0o004) !== 0 }
    } finally {
      await file.close()
    }
  } catch (error) {
    throw readError(error, path, 'a tokens file')
  }
}

/** @throws `TOKENS_UNREADABLE` */
export function parseTokens(text: string, path: string): ReadonlyMap<string, string> {
  const entries = text.trimStart().startsWith('{') ? jsonEntries(text, path) : lineEntries(text, path)
  const tokens = new Map<string, string>()
  const places = new Map<string, string>()
  for (const { where, id, token } of entries) {
    const before = places.get(id)
    // Not the id: in a file that was written the wrong way round, and whose devices share a token, it is the token.
    if (before !== undefined)
      throw fail('TOKENS_UNREADABLE', `${path}: expected each device once, found that of ${before} again at ${where}`)
    places.set(id, where)
    tokens.set(id, token)
  }
  if (tokens.size === 0) throw fail('TOKENS_UNREADABLE', `${path}: expected at least one line "device-id token", found none`)
  return tokens
}

interface Entry {
  readonly where: string
  readonly id: string
  readonly token: string
}

function* lineEntries(text: string, path: string): Generator<Entry> {
  let number = 0
  for (const raw of text.split(/\r?\n/)) {
    number++
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const match = separators.map((pattern) => pattern.exec(line)).find((found) => found !== null)
    const { id, token } = match?.groups ?? {}
    if (id === undefined || token === undefined) {
      throw fail('TOKENS_UNREADABLE', `${path}: line ${number}: expected "device-id token", found something else`)
    }
    yield { where: `line ${number}`, id, token }
  }
}

// In this order: a token's hash holds a colon, base64 ends with =, and a device id may hold both.
const separators = [
  /^(?<id>\S+)\s+(?<token>\S+)$/,
  /^(?<id>[^\s]+?)[=:](?<token>sha256:[0-9a-f]+)$/,
  /^(?<id>[^\s=]+)=(?<token>[^\s=]\S*)$/,
  /^(?<id>\S+):(?<token>[^\s:]+)$/,
]

function* jsonEntries(text: string, path: string): Generator<Entry> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text.
    throw fail('TOKENS_UNREADABLE', `${path}: expected one JSON object { "device-id": "token" }, found text that is not JSON`)
  }
  for (const [index, [id, token]] of Object.entries(value as object).entries()) {
    const where = `entry ${index + 1}`
    if (typeof token !== 'string') throw fail('TOKENS_UNREADABLE', `${path}: ${where}: expected a token as text, found a ${typeof token}`)
    yield { where, id, token }
  }
}
