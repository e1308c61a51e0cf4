import { formatReference, isOtaError, parseReference } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const digest = `sha256:${'a'.repeat(64)}` as const

describe('parseReference', () => {
  test.each([
    ['127.0.0.1:5000/firmware/lamp', { repository: '127.0.0.1:5000/firmware/lamp' }],
    ['127.0.0.1:5000/firmware/lamp:1.0.0', { repository: '127.0.0.1:5000/firmware/lamp', tag: '1.0.0' }],
    [`host/a/b@${digest}`, { repository: 'host/a/b', digest }],
    [`host/a/b:v1@${digest}`, { repository: 'host/a/b', tag: 'v1', digest }],
    ['[::1]:5000/a:1', { repository: '[::1]:5000/a', tag: '1' }],
    ['oci:releases', { repository: 'oci:releases' }],
    ['oci:releases:1.0.0', { repository: 'oci:releases', tag: '1.0.0' }],
    ['oci:/tmp/a@b/releases:1.0.0', { repository: 'oci:/tmp/a@b/releases', tag: '1.0.0' }],
    [`oci:../x@${digest}`, { repository: 'oci:../x', digest }],
  ])('reads %s', (text, parts) => {
    expect(parseReference(text)).toEqual(parts)
    expect(formatReference(parseReference(text))).toBe(text)
  })

  test.each([
    '',
    'lamp',
    'host/',
    'oci:',
    'oci::1.0.0',
    'host/a:',
    'host/a:-x',
    'host/a@sha256:12',
    'host/a\nb',
    `host/${'a'.repeat(5000)}`,
    `host/a:${'t'.repeat(129)}`,
  ])('refuses %j', (text) =>
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE', fault: 'invalid' })),
  )

  test.each(['robot:s3cret@host/a', 'https://robot:s3cret@host/a:x:y', 'robot:s3cret@host'])(
    'does not repeat the password of %s',
    (text) => {
      expect(() => parseReference(text)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') as string }))
    },
  )

  test('refuses a long text in a time that grows with its length, and not with the square of it', () => {
    const start = performance.now()
    expect(() => parseReference(`oci${':'.repeat(200_000)}`)).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }))
    expect(performance.now() - start).toBeLessThan(2000)
  })

  test('any text is read and written back the same, or refused as invalid', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'oci:/@.-a1 ') })), (text) => {
        try {
          expect(formatReference(parseReference(text))).toBe(text)
        } catch (error) {
          expect(isOtaError(error) && error.fault).toBe('invalid')
        }
      }),
      { numRuns: 10_000 },
    )
  })
})
