import { describe, expect, it } from 'vitest'
import { parseAnnotations } from '../../src/push/annotation-argument.ts'

describe('--annotation', () => {
  it('takes everything after the first = as the value', () => {
    expect(parseAnnotations(['a=b=c', 'org.example.empty='])).toEqual({ a: 'b=c', 'org.example.empty': '' })
  })

  it('keeps a key named __proto__ a key', () => {
    expect(Object.entries(parseAnnotations(['__proto__=x']))).toEqual([['__proto__', 'x']])
  })

  it.each([
    [['novalue'], 'expected key=value with a key without spaces, found "novalue"'],
    [['=x'], 'expected key=value'],
    [['a b=x'], 'expected key=value'],
    [['a=1', 'a=2'], 'expected each key once, found a twice'],
    [['org.opencontainers.image.version=9.9.9'], 'the version goes from the tag'],
    [['dev.reflash.product=lamp'], 'use --product'],
    [['dev.reflash.platform=esp32'], 'write <file>@<platform>'],
    [[`a=${'x'.repeat(65_537)}`], 'expected at most 65536 characters for a, found 65537'],
  ])('%j is refused', (texts, message) => {
    expect(() => parseAnnotations(texts)).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }))
  })
})
