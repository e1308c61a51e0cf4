import { isOtaError, streamOf } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import type { HttpRequest } from '../src/http-message.ts'
import { contentDisposition, imageResponse, reprDigest } from '../src/image-response.ts'
import { type FakeGateway, fakeGateway, representationOf } from './fake-gateway.ts'
import { patterned } from './started.ts'

const bytes = patterned(100)

function asked(headers: Readonly<Record<string, string>> = {}, method = 'GET'): HttpRequest {
  return {
    method,
    path: '/',
    query: '',
    peer: undefined,
    certificate: undefined,
    signal: new AbortController().signal,
    seen: { route: undefined, deviceId: undefined },
    header: (name) => headers[name],
    body: () => Promise.resolve(new Uint8Array()),
  }
}

const source = (gateway: FakeGateway) =>
  ({ gateway, who: { deviceId: 'd1', by: 'token' }, offer: 7, component: 'app', maxRanges: 16 }) as const

test.each([
  ['firmware.bin', 'attachment; filename="firmware.bin"'],
  ['a b (1).bin', 'attachment; filename="a b (1).bin"'],
  ['../../etc/passwd', 'attachment; filename="passwd"'],
  ['C:\\x\\y.bin', 'attachment; filename="y.bin"'],
  ['a"; x="b', 'attachment; filename="a__ x=_b"; filename*=UTF-8\'\'a%22%3B%20x%3D%22b'],
  ['a\r\nSet-Cookie: b', 'attachment; filename="a__Set-Cookie_ b"; filename*=UTF-8\'\'a%0D%0ASet-Cookie%3A%20b'],
  ['größe.bin', 'attachment; filename="gr__e.bin"; filename*=UTF-8\'\'gr%C3%B6%C3%9Fe.bin'],
  ['\ud800', 'attachment; filename="_"; filename*=UTF-8\'\'%EF%BF%BD'],
  ['', 'attachment; filename="image.bin"'],
  ['a/', 'attachment; filename="image.bin"'],
])('the file name %j becomes %s', (name, expected) => {
  expect(contentDisposition(name)).toBe(expected)
})

test('the digest of a representation is that of RFC 9530, which knows SHA-256 and SHA-512', () => {
  expect(reprDigest(`sha256:${'00'.repeat(32)}`)).toBe(`sha-256=:${'A'.repeat(43)}=:`)
  expect(reprDigest(`sha512:${'00'.repeat(64)}`)).toBe(`sha-512=:${'A'.repeat(86)}==:`)
  expect(reprDigest(`sha384:${'00'.repeat(48)}`)).toBeUndefined()
})

describe('a gateway that streams', () => {
  test('is asked again for the part alone, and its first stream is closed', async () => {
    const gateway = fakeGateway({ bytes, form: 'stream' })
    let closed = 0
    const { read } = gateway
    gateway.read = async (...args) => {
      const { representation } = await read(...args)
      const { offset = 0, length = 100 } = args[3] ?? {}
      const inner = streamOf(bytes.subarray(offset, offset + length))[Symbol.asyncIterator]()
      const body = {
        [Symbol.asyncIterator]: () => ({
          next: () => inner.next(),
          return: async () => {
            closed++
            return { done: true, value: undefined } as const
          },
        }),
      }
      return { representation, body }
    }
    const response = await imageResponse(asked({ range: 'bytes=10-19' }), source(gateway))
    expect([response.status, response.length, closed]).toEqual([206, 10, 1])
    expect(gateway.calls.map(({ args }) => args[2])).toEqual([
      expect.objectContaining({}),
      expect.objectContaining({ offset: 10, length: 10 }),
    ])
  })

  test('and that has another image by then is not believed', async () => {
    const gateway = fakeGateway({ bytes, form: 'stream' })
    const { read } = gateway
    gateway.read = async (...args) => {
      const answer = await read(...args)
      gateway.image = { bytes: patterned(101), form: 'stream' }
      return answer
    }
    await expect(imageResponse(asked({ range: 'bytes=10-19' }), source(gateway))).rejects.toMatchObject({
      code: 'IMAGE_UNREADABLE',
      fault: 'unavailable',
    })
  })
})

test.each([99, 101])('a body of %i bytes for an image of 100 is a defect that is not sent', async (size) => {
  const gateway = fakeGateway({ bytes })
  gateway.read = async () => ({ representation: representationOf(bytes), body: patterned(size) })
  for (const headers of [{}, { range: 'bytes=0-1' }, { range: 'bytes=0-1,3-4' }] as const) {
    const error = await imageResponse(asked(headers), source(gateway)).catch((thrown: unknown) => thrown)
    expect(isOtaError(error) && error.code).toBe('IMAGE_SIZE_WRONG')
  }
})

test('HEAD asks the gateway for the head only', async () => {
  const gateway = fakeGateway({ bytes })
  const response = await imageResponse(asked({ range: 'bytes=0-1' }, 'HEAD'), source(gateway))
  expect([response.status, response.length, response.body]).toEqual([200, 100, undefined])
  expect(gateway.calls.map(({ name }) => name)).toEqual(['head'])
})
