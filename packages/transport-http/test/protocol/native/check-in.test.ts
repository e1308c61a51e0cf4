import { crc32 } from 'node:zlib'
import { isOtaError } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { encodeAnswer, readEvidence, readReported } from '../../../src/protocol/native/check-in.ts'
import { fakeGateway, idle, offerOf } from '../../fake-gateway.ts'
import { patterned, started } from '../../started.ts'
import { post, wire } from '../../wire.ts'

const messageOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return isOtaError(error) ? error.message : String(error)
  }
  return 'nothing thrown'
}

describe('what a device says', () => {
  test('arrives at the gateway as it was said, without what the protocol does not know', async () => {
    const { url, gateway } = await started()
    const installed = { version: '1.0.0', digest: `sha256:${'a'.repeat(64)}`, state: 'pending' }
    const said = { model: 'esp32s3', installed, attributes: { ram: 1 }, labels: { a: 'b' }, id: 'other', more: 1 }
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', JSON.stringify({ ...said, evidence: { mediaType: 'a/b', body: 'AAEC' } })))
    expect((await client.answer()).status).toBe(200)
    client.close()
    const [call] = gateway.calls
    expect(call?.deviceId).toBe('d1')
    expect(call?.args[0]).toEqual({ model: 'esp32s3', installed, attributes: { ram: 1 } })
    expect(call?.args[1]).toEqual({ mediaType: 'a/b', body: new Uint8Array([0, 1, 2]) })
    expect(call?.args[2]).toMatchObject({ signal: expect.any(AbortSignal) })
    expect(call?.args[2]).not.toHaveProperty('reports')
  })

  test.each<[string, object, RegExp]>([
    ['an empty model', { model: '' }, /^model: expected text of 1 to 128/],
    ['a long model', { model: 'm'.repeat(129) }, /^model: .* found text of 129 letters/],
    ['installed as text', { installed: '1.0.0' }, /^installed: expected an object/],
    ['installed without version', { installed: {} }, /^installed.version/],
    ['a digest in upper case', { installed: { version: '1', digest: `sha256:${'A'.repeat(64)}` } }, /^installed.digest/],
    ['an unknown state', { installed: { version: '1', state: 'done' } }, /^installed.state: expected pending or confirmed/],
    [
      'too many attributes',
      { attributes: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [i, i])) },
      /at most 100 members, found 101/,
    ],
    ['an attribute without a name', { attributes: { '': 1 } }, /^attributes: expected members of 1 to 128/],
    ['attributes as a list', { attributes: [] }, /^attributes: expected an object, found a list of 0/],
  ])('%s is refused by name', (_name, body, message) => {
    expect(messageOf(() => readReported(body as Record<string, unknown>))).toMatch(message)
  })

  test.each(['AAE', 'AAEC=', 'AA EC', 'AAEC\n', '-_-_', 'AB=='])('evidence in %j is no canonical base64 and is refused', (body) => {
    expect(messageOf(() => readEvidence({ evidence: { mediaType: 'a/b', body } }))).toMatch(/^evidence.body: expected base64/)
  })
})

describe('what a device is told', () => {
  test('is everything that the gateway says', () => {
    const bytes = patterned(100)
    const answer = {
      offer: offerOf(bytes),
      cancel: 6,
      wants: ['evidence'] as const,
      challenge: new Uint8Array([1, 2, 3]),
      pollAfterMs: 5,
      because: [{ code: 'NEWER', message: '1.1.0 is newer' }],
    }
    const yields = answer.offer.components[0]?.yields
    expect(JSON.parse(encodeAnswer(answer, 'https://ota.example', 'a@b'))).toEqual({
      pollAfterMs: 5,
      offer: {
        seq: 7,
        version: '1.1.0',
        mode: 'forced',
        components: [
          {
            component: 'app',
            yields,
            size: 100,
            digest: yields,
            crc32: crc32(bytes),
            fileName: 'firmware.bin',
            url: 'https://ota.example/v1/devices/a%40b/offers/7/images/app',
          },
        ],
      },
      cancel: 6,
      wants: ['evidence'],
      challenge: 'AQID',
      because: answer.because,
    })
  })

  test('is the image itself where there are deltas beside it', () => {
    const offer = offerOf(patterned(100))
    const [component] = offer.components
    const delta = { ...component?.representations[0], coding: 'zstd' } as NonNullable<typeof component>['representations'][number]
    const both = {
      ...offer,
      components: [{ ...component, representations: [delta, ...(component?.representations ?? [])] }],
    } as typeof offer
    const wire = JSON.parse(encodeAnswer({ offer: both, pollAfterMs: 1, because: [] }, '', 'd'))
    expect(wire.offer.components[0]).not.toHaveProperty('coding')
    const only = { ...offer, components: [{ ...component, representations: [delta] }] } as typeof offer
    expect(JSON.parse(encodeAnswer({ offer: only, pollAfterMs: 1, because: [] }, '', 'd')).offer.components[0].coding).toBe('zstd')
  })

  test('needs one write of less than 300 bytes, head included, where there is nothing to do', async () => {
    const gateway = fakeGateway()
    gateway.answer = idle
    const { url } = await started({}, gateway)
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', '{"installed":{"version":"1.1.0"}}'))
    const answer = await client.answer()
    expect(JSON.parse(answer.body.toString())).toEqual({ pollAfterMs: 300_000, because: idle.because })
    expect(client.pieces).toHaveLength(1)
    expect(client.pieces[0]).toBeLessThan(300)
    client.close()
  })

  test.each([
    ['a long reason', [{ code: 'UP_TO_DATE', message: 'm'.repeat(1000) }]],
    ['letters of many bytes', [{ code: 'UP_TO_DATE', message: '是'.repeat(60) }]],
    ['many reasons', Array.from({ length: 50 }, (_, index) => ({ code: `REASON_${index}`, message: 'm' }))],
    ['a long code', [{ code: 'C'.repeat(70), message: 'm' }]],
  ])('stays under 300 bytes with %s: codes first, then fewer of them', async (_name, because) => {
    const gateway = fakeGateway()
    gateway.answer = { pollAfterMs: 86_400_000, because }
    const { url } = await started({}, gateway)
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', '{}'))
    const answer = await client.answer()
    expect(client.pieces[0]).toBeLessThan(300)
    expect(JSON.parse(answer.body.toString()).because[0].code).toBe(because[0]?.code)
    client.close()
  })

  test('has the prefix in its URLs where the service has one', async () => {
    const { url } = await started({ prefix: '/ota/eu' })
    const client = await wire(url)
    client.send(post('/ota/eu/v1/devices/d1/check-in', '{}'))
    const answer = JSON.parse((await client.answer()).body.toString())
    expect(answer.offer.components[0].url).toBe('/ota/eu/v1/devices/d1/offers/7/images/app')
    client.send(post('/v1/devices/d1/check-in', '{}'))
    expect((await client.answer()).status).toBe(404)
    client.close()
  })
})
