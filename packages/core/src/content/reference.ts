import { fail } from '../core-errors.ts'
import { type Digest, isDigest } from './digest.ts'

/** `<repository>[:tag][@digest]`, where a repository is `host[:port]/name` or `oci:<dir>`. */
export interface Reference {
  readonly repository: string
  readonly tag?: string
  readonly digest?: Digest
}

/** OCI distribution spec, pulling manifests. */
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const layout = 'oci:'

/**
 * Splits a reference without asking whether a registry knows it. Which repositories exist is the registry plugin's to say.
 * @throws `INVALID_REFERENCE`
 */
export function parseReference(text: string): Reference {
  if (typeof text !== 'string' || text.length === 0 || text.length > 4096) throw invalid(text, 'it is empty or longer than 4096 characters')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalid(text, 'it holds control characters')
  const at = text.lastIndexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  // A layout's directory may hold an @ of its own.
  const pinned = digest !== undefined && (isDigest(digest) || !text.startsWith(layout))
  if (pinned && !isDigest(digest)) throw invalid(text, 'what follows @ is not a digest')
  const name = pinned ? text.slice(0, at) : text
  const start = name.startsWith(layout) ? layout.length : 0
  const colon = name.lastIndexOf(':')
  const hasTag = colon >= start && colon > name.lastIndexOf('/')
  const repository = hasTag ? name.slice(0, colon) : name
  const tag = hasTag ? name.slice(colon + 1) : undefined
  if (tag !== undefined && !tagPattern.test(tag))
    throw invalid(text, `${JSON.stringify(tag)} is not a tag (letters, digits, ".", "_", "-"; at most 128)`)
  if (repository.length === start || (start === 0 && !/^[^/]+\/./.test(repository))) throw invalid(text, 'the repository is missing')
  return { repository, ...(tag === undefined ? {} : { tag }), ...(pinned ? { digest: digest as Digest } : {}) }
}

/** Writes a reference: what `parseReference` reads back. */
export function formatReference({ repository, tag, digest }: Reference): string {
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

function invalid(text: unknown, why: string): Error {
  const shown = typeof text === 'string' ? JSON.stringify(masked(text).slice(0, 200)) : typeof text
  return fail('INVALID_REFERENCE', `expected host[:port]/repository[:tag|@digest] or oci:<dir>[:tag|@digest], found ${shown}: ${why}`)
}

// Somebody may have written credentials in front of the host: they must not reach a log. By steps, each of which looks at a letter once: one
// expression for all of it takes a time that grows with the square of the length.
function masked(text: string): string {
  const scheme = /^[a-z]+:\/\//i.exec(text)?.[0] ?? ''
  const rest = text.slice(scheme.length)
  const end = rest.search(/[/@]/)
  return rest[end] === '@' && rest.slice(0, end).includes(':') ? `${scheme}***${rest.slice(end)}` : text
}
