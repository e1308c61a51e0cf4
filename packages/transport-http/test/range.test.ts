import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ByteSpan, matches, type Selection, select, selectRanges } from '../src/range.ts'
import { seeded } from './started.ts'

const etag = '"sha256:aa"'
const spansOf = (selection: Selection): readonly ByteSpan[] | number => (selection.status === 206 ? selection.spans : selection.status)

describe('one range', () => {
  test.each<[string, number, readonly ByteSpan[] | number]>([
    ['bytes=0-0', 10, [{ start: 0, end: 1 }]],
    ['bytes=0-9', 10, [{ start: 0, end: 10 }]],
    ['bytes=9-', 10, [{ start: 9, end: 10 }]],
    ['bytes=-1', 10, [{ start: 9, end: 10 }]],
    ['bytes=-10', 10, [{ start: 0, end: 10 }]],
    ['BYTES=2-3', 10, [{ start: 2, end: 4 }]],
    ['bytes= 2 - 3 ', 10, [{ start: 2, end: 4 }]],
  ])('%s of %i bytes is taken as it is written', (header, size, expected) => {
    expect(spansOf(selectRanges(header, size, 16))).toEqual(expected)
  })

  test('an end one past the last byte is clamped, as esp_https_ota asks for it', () => {
    expect(spansOf(selectRanges('bytes=5-10', 10, 16))).toEqual([{ start: 5, end: 10 }])
  })

  test('a suffix longer than the image is the whole image', () => {
    expect(spansOf(selectRanges('bytes=-11', 10, 16))).toEqual([{ start: 0, end: 10 }])
  })

  test('numbers that a double cannot count lie behind every end', () => {
    const huge = '9'.repeat(400)
    expect(spansOf(selectRanges(`bytes=3-${huge}`, 10, 16))).toEqual([{ start: 3, end: 10 }])
    expect(spansOf(selectRanges(`bytes=-${huge}`, 10, 16))).toEqual([{ start: 0, end: 10 }])
    expect(spansOf(selectRanges(`bytes=${huge}-`, 10, 16))).toBe(416)
  })

  test.each(['bytes=10-', 'bytes=10-12', 'bytes=-0', 'bytes=5-4', 'bytes=12-,11-'])('%s selects nothing of 10 bytes: 416', (header) => {
    expect(spansOf(selectRanges(header, 10, 16))).toBe(416)
  })

  test.each(['bytes=-', 'bytes=a-b', 'bytes=0-1,', 'bytes=,0-1', 'bytes=0--1', 'bytes=1', 'bytes=+1-2', 'bytes=0x1-2', 'bytes=1-2;'])(
    '%s is not in the grammar: 416',
    (header) => {
      expect(spansOf(selectRanges(header, 10, 16))).toBe(416)
    },
  )

  test.each(['bytes=', 'bytes', 'lines=0-1', '', 'bytes 0-1'])('%j is another unit or none and is ignored', (header) => {
    expect(spansOf(selectRanges(header, 10, 16))).toBe(200)
  })

  test('of an empty image everything from 0 on is the whole and the rest is not satisfiable', () => {
    expect(spansOf(selectRanges('bytes=0-', 0, 16))).toBe(200)
    expect(spansOf(selectRanges('bytes=-5', 0, 16))).toBe(200)
    expect(spansOf(selectRanges('bytes=1-', 0, 16))).toBe(416)
  })
})

describe('several ranges', () => {
  test('come in the order they were asked for, without those that select nothing', () => {
    expect(spansOf(selectRanges('bytes=8-9, 50-, 0-1,7-3', 10, 16))).toEqual([
      { start: 8, end: 10 },
      { start: 0, end: 2 },
    ])
  })

  test('more than the limit are ignored, so that nobody can order a thousand parts', () => {
    const header = `bytes=${Array.from({ length: 17 }, (_, index) => `${index}-${index}`).join()}`
    expect(spansOf(selectRanges(header, 100, 16))).toBe(200)
    expect(spansOf(selectRanges(header, 100, 17))).toHaveLength(17)
  })

  test('that together are more than the image are ignored, so that nobody can order it a thousand times', () => {
    expect(spansOf(selectRanges('bytes=0-,0-', 10, 16))).toBe(200)
    expect(spansOf(selectRanges('bytes=0-4,0-4', 10, 16))).toHaveLength(2)
  })
})

describe('conditions', () => {
  const asked = { method: 'GET', range: 'bytes=0-1' }
  const image = { etag, size: 10 }

  test.each<[string, Parameters<typeof select>[0], number]>([
    ['If-Match with the tag passes', { ...asked, ifMatch: etag }, 206],
    ['If-Match with a star passes', { ...asked, ifMatch: '*' }, 206],
    ['If-Match with another tag fails', { ...asked, ifMatch: '"x"' }, 412],
    ['If-Match with the weak tag fails, because it compares strongly', { ...asked, ifMatch: `W/${etag}` }, 412],
    ['If-Match goes before If-None-Match', { ...asked, ifMatch: '"x"', ifNoneMatch: etag }, 412],
    ['If-None-Match with the tag is not modified', { ...asked, ifNoneMatch: etag }, 304],
    ['If-None-Match with the weak tag is not modified, because it compares weakly', { ...asked, ifNoneMatch: `"y", W/${etag}` }, 304],
    ['If-None-Match with a star is not modified', { ...asked, ifNoneMatch: '*' }, 304],
    ['If-None-Match with another tag passes', { ...asked, ifNoneMatch: '"x"' }, 206],
    ['If-Range with the tag gives the range', { ...asked, ifRange: etag }, 206],
    ['If-Range with another tag gives the whole', { ...asked, ifRange: '"x"' }, 200],
    ['If-Range with the weak tag gives the whole', { ...asked, ifRange: `W/${etag}` }, 200],
    ['If-Range with a date gives the whole', { ...asked, ifRange: 'Sat, 21 Nov 2026 07:00:00 GMT' }, 200],
    ['If-Range that fails hides a range that could not be satisfied', { method: 'GET', range: 'bytes=99-', ifRange: '"x"' }, 200],
    ['If-Range without Range does nothing', { method: 'GET', ifRange: '"x"' }, 200],
    ['Range with HEAD is ignored', { method: 'HEAD', range: 'bytes=0-1' }, 200],
  ])('%s', (_name, conditions, status) => {
    expect(select(conditions, image, 16).status).toBe(status)
  })

  test('a tag in a list is found whatever stands beside it, and a comma in a tag does not split it', () => {
    expect(matches(`"a,b" ,, W/"c" , ${etag}`, etag, false)).toBe(true)
    expect(matches(`"a,${etag.slice(1, -1)},b"`, etag, false)).toBe(false)
    expect(matches(etag.slice(0, -1), etag, false)).toBe(false)
    expect(matches('', etag, true)).toBe(false)
    expect(matches(`x ${etag}`, etag, true)).toBe(false)
  })
})

/** RFC 9110, 14.1 and 14.2, word for word and with regular expressions: shares nothing with the parser. */
function naive(header: string, size: number, maxRanges: number): readonly ByteSpan[] | number {
  const set = /^bytes=(.+)$/is.exec(header)?.[1]
  if (set === undefined) return 200
  const specs = set.split(',').map((spec) => /^ *(?:(\d+) *- *(\d*)|-(\d+)) *$/.exec(spec))
  // As nginx: it reads from the left, and what makes it give up earlier wins over an error further on.
  const spans: ByteSpan[] = []
  for (const spec of specs) {
    if (spec === null) return 416
    const [, first, last, suffix] = spec
    const bytes = Array.from({ length: size }, (_, index) => index).filter((index) =>
      suffix === undefined
        ? BigInt(index) >= BigInt(first as string) && (last === '' || BigInt(index) <= BigInt(last as string))
        : BigInt(size - index) <= BigInt(suffix),
    )
    if (bytes.length > 0) {
      if (spans.length === maxRanges) return 200
      spans.push({ start: bytes[0] as number, end: (bytes.at(-1) as number) + 1 })
    } else if (size === 0 && (suffix !== undefined || BigInt(first as string) === 0n)) return 200
  }
  if (spans.length === 0) return 416
  return spans.reduce((sum, { start, end }) => sum + end - start, 0) > size ? 200 : spans
}

test('10,000 random Range headers are answered as the naive model of RFC 9110 says', () => {
  const below = seeded(9110)
  const number = (size: number): string => String(below(10) === 0 ? below(2 ** 31) * 2 ** 33 : below(size + 3))
  const spec = (size: number): string =>
    [`${number(size)}-${number(size)}`, `${number(size)}-`, `-${number(size)}`, ` ${number(size)} - ${number(size)} `, '-', 'x-1', ''][
      [0, 0, 0, 1, 1, 2, 2, 3, 0, 0, 1, 2, 4 + below(3)][below(13)] as number
    ] as string
  const seen = new Set<number | string>()
  for (let round = 0; round < 10_000; round++) {
    const size = below(3) === 0 ? below(3) : below(40)
    const header = `${below(30) === 0 ? 'octets' : 'bytes'}=${Array.from({ length: 1 + below(below(2) === 0 ? 1 : 6) }, () => spec(size)).join()}`
    const expected = naive(header, size, 4)
    expect(spansOf(selectRanges(header, size, 4)), `${JSON.stringify(header)} of ${size}`).toEqual(header === 'bytes=' ? 200 : expected)
    seen.add(typeof expected === 'number' ? expected : expected.length > 1 ? 'several' : 'one')
  }
  expect([...seen].sort()).toEqual([200, 416, 'one', 'several'])
})

test('whatever the header, the spans lie within the image, are not empty, and are together no more than it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `bytes=${text}`),
      ),
      fc.nat(1000),
      (header, size) => {
        const selection = selectRanges(header, size, 16)
        if (selection.status !== 206) return [200, 416].includes(selection.status)
        const total = selection.spans.reduce((sum, { start, end }) => sum + end - start, 0)
        return total <= size && selection.spans.every(({ start, end }) => start >= 0 && start < end && end <= size)
      },
    ),
    { numRuns: 2000 },
  )
})
