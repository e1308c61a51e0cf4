/** Bytes from `start` to before `end`. */
export interface ByteSpan {
  readonly start: number
  readonly end: number
}

/** What a request may have of a representation. RFC 9110, 13.2.2 and 14.2. */
export type Selection =
  | { readonly status: 200 | 304 | 412 | 416 }
  /** In the order they were asked for; one, or several for multipart/byteranges. */
  | { readonly status: 206; readonly spans: readonly ByteSpan[] }

export interface Conditions {
  readonly method: string
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  readonly ifRange?: string | undefined
  readonly range?: string | undefined
}

/** The strong entity tag and the size of what is to be sent. */
export interface Selected {
  readonly etag: string
  readonly size: number
}

const whole: Selection = Object.freeze({ status: 200 })
const notModified: Selection = Object.freeze({ status: 304 })
const failed: Selection = Object.freeze({ status: 412 })
const unsatisfiable: Selection = Object.freeze({ status: 416 })

/** Evaluates preconditions and ranges in the order of RFC 9110, 13.2.2. Content named by its digest has no Last-Modified: dates never match. */
export function select(conditions: Conditions, { etag, size }: Selected, maxRanges: number): Selection {
  const { method, ifMatch, ifNoneMatch, ifRange, range } = conditions
  if (ifMatch !== undefined && !matches(ifMatch, etag, false)) return failed
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag, true)) return notModified
  // 14.2: a Range field is for GET only.
  if (range === undefined || method !== 'GET') return whole
  // 13.1.5: the strong comparison; a date cannot match here, a weak tag never does.
  if (ifRange !== undefined && ifRange !== etag) return whole
  return selectRanges(range, size, maxRanges)
}

/**
 * RFC 9110, 14.1 and 14.2; where it leaves a choice, the answer is that of nginx 1.22:
 *
 * | Range | answer |
 * |---|---|
 * | another unit, or nothing after `bytes=` | ignored: 200 |
 * | not in the grammar, or no number of it | refused: 416 |
 * | several, of which some lie behind the end or run backwards | the others |
 * | all of them do | 416 |
 * | more than `maxRanges`, or together more bytes than the image has | ignored: 200 (14.2: overlapping ranges as an attack) |
 * | the end behind the image's | clamped (esp_https_ota asks for one byte too many) |
 * | any of an empty image from 0 on | 200 |
 */
export function selectRanges(header: string, size: number, maxRanges: number): Selection {
  if (header.length < 7 || header.slice(0, 6).toLowerCase() !== 'bytes=') return whole
  const spans: ByteSpan[] = []
  const cursor: Cursor = { text: header, at: 6 }
  let total = 0
  for (;;) {
    const span = nextSpan(cursor, size)
    if (span === undefined) return unsatisfiable
    if (span.start < span.end) {
      if (spans.length === maxRanges) return whole
      spans.push(span)
      total += span.end - span.start
    } else if (span.start === 0) return whole
    if (cursor.at >= header.length) break
    cursor.at++
  }
  if (spans.length === 0) return unsatisfiable
  return total > size ? whole : { status: 206, spans }
}

interface Cursor {
  readonly text: string
  at: number
}

/** One range-spec, up to the comma or the end; undefined where it is not in the grammar. Empty where it selects nothing. */
function nextSpan(cursor: Cursor, size: number): ByteSpan | undefined {
  skipSpaces(cursor)
  const suffix = cursor.text[cursor.at] === '-'
  const first = suffix ? 0 : digits(cursor)
  if (first === undefined) return undefined
  if (!suffix) skipSpaces(cursor)
  if (cursor.text[cursor.at] !== '-') return undefined
  cursor.at++
  if (!suffix) {
    skipSpaces(cursor)
    if (atEnd(cursor)) return { start: first, end: size }
  }
  const last = digits(cursor)
  if (last === undefined) return undefined
  skipSpaces(cursor)
  if (!atEnd(cursor)) return undefined
  if (suffix) return { start: Math.max(0, size - last), end: size }
  return { start: first, end: Math.min(size, last + 1) }
}

function skipSpaces(cursor: Cursor): void {
  while (cursor.text[cursor.at] === ' ') cursor.at++
}

function atEnd({ text, at }: Cursor): boolean {
  return at >= text.length || text[at] === ','
}

/** A decimal number; what a double cannot count lies behind the end of every image and stays there. */
function digits(cursor: Cursor): number | undefined {
  const start = cursor.at
  let number = 0
  for (;;) {
    const digit = cursor.text.charCodeAt(cursor.at) - 48
    if (!(digit >= 0 && digit <= 9)) return cursor.at === start ? undefined : number
    number = Math.min(number * 10 + digit, Number.MAX_SAFE_INTEGER - 1)
    cursor.at++
  }
}

/**
 * Whether a list of entity tags (or `*`) names this one. RFC 9110, 8.8.3.2: the weak comparison ignores `W/`, the strong one refuses it.
 * What is not an entity tag ends the list.
 */
export function matches(list: string, etag: string, weak: boolean): boolean {
  if (list.trim() === '*') return true
  let at = 0
  for (;;) {
    while (list[at] === ' ' || list[at] === '\t' || list[at] === ',') at++
    const isWeak = list.startsWith('W/', at)
    const open = isWeak ? at + 2 : at
    if (list[open] !== '"') return false
    const close = list.indexOf('"', open + 1)
    if (close < 0) return false
    if ((weak || !isWeak) && list.slice(open, close + 1) === etag) return true
    at = close + 1
  }
}
