import { hash } from 'node:crypto'
import { type DeviceState, type ImageInfo, isOtaError, type Json } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { esp32Target } from '../src/index.ts'
import { type DemoImageOptions, demoImage } from '../src/testing/index.ts'
import { context, heldImage } from './support/held-image.ts'
import { withSignatureSector } from './support/signed.ts'

const target = esp32Target()

async function inspected(options: Partial<DemoImageOptions> = {}, change: (image: Uint8Array) => Uint8Array = (image) => image) {
  const bytes = change(demoImage({ chip: 'esp32s3', version: '1.0.0', sizeBytes: 8192, ...options }))
  const image = heldImage(bytes)
  return { info: await target.inspect(image, context), descriptor: image.descriptor, crc32: image.crc32, md5: hash('md5', bytes) }
}

function reasons(
  device: Partial<DeviceState>,
  { info, descriptor }: Pick<Awaited<ReturnType<typeof inspected>>, 'info' | 'descriptor'>,
  by = target,
): readonly string[] {
  try {
    by.plan({ id: 'd1', ...device }, info, descriptor)
    return []
  } catch (error) {
    if (!isOtaError(error)) throw error
    expect([error.code, error.stage]).toEqual([error.because[0]?.code, 'plan'])
    return error.because.map(({ code }) => code)
  }
}

describe('a plan', () => {
  it('holds what is installed, and nothing else where the device says nothing', async () => {
    const image = await inspected()
    expect(target.plan({ id: 'd1' }, image.info, image.descriptor)).toEqual({
      target: 'esp32',
      version: 1,
      chip: 'esp32s3',
      digest: image.descriptor.digest,
      sizeBytes: 8192,
      crc32: image.crc32,
      md5: image.md5,
      appVersion: '1.0.0',
    })
  })

  it('is pure: the same input yields the same plan, and the input stays as it was', async () => {
    const { info, descriptor } = await inspected()
    const device: DeviceState = Object.freeze({
      id: 'd1',
      model: 'esp32s3',
      attributes: Object.freeze({ slotBytes: 0x1d_0000, colour: 'red' }),
    })
    expect(target.plan(device, info, descriptor)).toEqual(target.plan(device, structuredClone(info), descriptor))
  })

  it.each<[string, Partial<DeviceState>, Partial<DemoImageOptions>]>([
    ['WRONG_CHIP', { model: 'esp32c3' }, {}],
    ['CHIP_REVISION', { attributes: { chipRevision: 99 } }, { minChipRevision: 100 }],
    ['CHIP_REVISION', { attributes: { chipRevision: 201 } }, { maxChipRevision: 200 }],
    ['IMAGE_LARGER_THAN_SLOT', { attributes: { slotBytes: 4096 } }, {}],
    ['SECURE_VERSION_LOWER', { attributes: { secureVersion: 2 } }, { secureVersion: 1 }],
    ['SIGNATURE_REQUIRED', { attributes: { secureBoot: 'v2' } }, {}],
    ['NO_SECOND_SLOT', { attributes: { otaSlots: 1 } }, {}],
    ['UPDATE_PENDING', { attributes: { otaState: 'pending-verify' } }, {}],
    ['UPDATE_PENDING', { installed: { version: '0.9.0', state: 'pending' } }, {}],
    ['ESP32_ATTRIBUTE_INVALID', { attributes: { slotBytes: '4096' } }, {}],
    ['ESP32_ATTRIBUTE_INVALID', { attributes: { secureBoot: 'v3' } }, {}],
    ['ESP32_ATTRIBUTE_INVALID', { attributes: { chipRevision: -1 } }, {}],
  ])('is refused as %s for a device with %j', async (code, device, options) => {
    expect(reasons(device, await inspected(options))).toEqual([code])
  })

  it('is made at the edges of what fits', async () => {
    const image = await inspected({ minChipRevision: 100, maxChipRevision: 200, secureVersion: 2 })
    for (const chipRevision of [100, 150, 200]) {
      expect(
        reasons(
          { model: 'esp32s3', attributes: { chipRevision, slotBytes: 8192, secureVersion: 2, secureBoot: 'none', otaSlots: 2 } },
          image,
        ),
      ).toEqual([])
    }
    expect(reasons({ attributes: { slotBytes: 8191 } }, image)).toEqual(['IMAGE_LARGER_THAN_SLOT'])
  })

  it('rounds the image up to whole sectors', async () => {
    const image = await inspected({ sizeBytes: 8208 })
    expect(reasons({ attributes: { slotBytes: 12_287 } }, image)).toEqual(['IMAGE_LARGER_THAN_SLOT'])
    expect(reasons({ attributes: { slotBytes: 12_288 } }, image)).toEqual([])
  })

  it('counts the signature sector as part of the image, and takes it for a signature', async () => {
    const image = await inspected({ sizeBytes: 8192 }, withSignatureSector)
    expect(reasons({ attributes: { secureBoot: 'v2', slotBytes: 8192 } }, image)).toEqual(['IMAGE_LARGER_THAN_SLOT'])
    expect(reasons({ attributes: { secureBoot: 'v2', slotBytes: 12_288 } }, image)).toEqual([])
    expect(reasons({ attributes: { secureBoot: 'v1' } }, image)).toEqual(['SIGNATURE_REQUIRED'])
  })

  it('is refused with every reason at once, the lasting ones first', async () => {
    const device: Partial<DeviceState> = {
      model: 'esp32',
      installed: { version: '2', state: 'pending' },
      attributes: { chipRevision: 0, slotBytes: 1, secureVersion: 9, secureBoot: 'v1', otaSlots: 1, efuseBlockRevision: 'x' },
    }
    expect(reasons(device, await inspected({ minChipRevision: 1 }), esp32Target({ chips: ['esp32'] }))).toEqual([
      'ESP32_ATTRIBUTE_INVALID',
      'CHIP_NOT_SERVED',
      'WRONG_CHIP',
      'CHIP_REVISION',
      'IMAGE_LARGER_THAN_SLOT',
      'SECURE_VERSION_LOWER',
      'SIGNATURE_REQUIRED',
      'NO_SECOND_SLOT',
      'UPDATE_PENDING',
    ])
  })

  it('has a fault that tells whether to try again', async () => {
    const image = await inspected()
    const faultOf = (device: Partial<DeviceState>): unknown => {
      try {
        return target.plan({ id: 'd1', ...device }, image.info, image.descriptor)
      } catch (error) {
        return isOtaError(error) ? error.fault : error
      }
    }
    expect(faultOf({ attributes: { secureVersion: 1 } })).toBe('rejected')
    expect(faultOf({ attributes: { otaState: 'pending-verify' } })).toBe('unavailable')
    expect(faultOf({ model: 'esp32c6' })).toBe('invalid')
  })

  it('is not made from facts that this target did not find', async () => {
    const { info, descriptor } = await inspected()
    const refused = expect.objectContaining({ code: 'ESP32_FACTS_INVALID' })
    const wrong: Json[] = [null, [], {}, { ...(info.facts as object), chip: 'esp99' }, { ...(info.facts as object), more: 1 }]
    for (const facts of wrong) expect(() => target.plan({ id: 'd1' }, { ...info, facts }, descriptor)).toThrow(refused)
    const other: ImageInfo = { ...info, facts: { ...(info.facts as object), sizeBytes: 4096 } }
    expect(() => target.plan({ id: 'd1' }, other, descriptor)).toThrow(refused)
    // Beyond what a stored plan can say: it could not be read back when the update is taken up again.
    const beyond: ImageInfo = { ...info, facts: { ...(info.facts as object), sizeBytes: 2 ** 32 } }
    expect(() => target.plan({ id: 'd1' }, beyond, { ...descriptor, size: 2 ** 32 })).toThrow(refused)
  })

  it('checks the eFuse block revision', async () => {
    const { info, descriptor } = await inspected()
    const facts = { ...(info.facts as object), minEfuseBlockRevision: 1, maxEfuseBlockRevision: 99 }
    const image = { info: { ...info, facts }, descriptor, crc32: 0 }
    expect([0, 1, 99, 100].map((efuseBlockRevision) => reasons({ attributes: { efuseBlockRevision } }, image).length)).toEqual([1, 0, 0, 1])
    expect(reasons({ attributes: { efuseBlockRevision: 100 } }, image)).toEqual(['EFUSE_BLOCK_REVISION'])
  })
})

describe('a stored plan', () => {
  const plan = {
    target: 'esp32',
    version: 1,
    chip: 'esp32s3',
    digest: `sha256:${'a'.repeat(64)}`,
    sizeBytes: 8192,
    crc32: 7,
    appVersion: '1.0.0',
    slot: { number: 1, offset: 0x1e_0000, sizeBytes: 0x1d_0000 },
  }

  it('comes back through JSON', () => {
    expect(target.parsePlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan)
    const { slot: _, ...without } = plan
    expect(target.parsePlan(without)).toEqual(without)
  })

  it.each<[string, Json]>([
    ['no object', 'plan'],
    ['null', null],
    ['an array', [plan]],
    ['another target', { ...plan, target: 'rauc' }],
    ['another version', { ...plan, version: 2 }],
    ['an unknown chip', { ...plan, chip: 'esp99' }],
    ['no digest', { ...plan, digest: 'sha256:1' }],
    ['a size that is no number', { ...plan, sizeBytes: '8192' }],
    ['a negative CRC', { ...plan, crc32: -7 }],
    ['a CRC of 33 bits', { ...plan, crc32: 2 ** 32 }],
    ['a slot that is no object', { ...plan, slot: 1 }],
    ['a slot without offset', { ...plan, slot: { number: 1, sizeBytes: 4096 } }],
    ['a field too many', { ...plan, extra: true }],
    ['a field too many in its slot', { ...plan, slot: { ...plan.slot, extra: true } }],
    ['a field that is only inherited', JSON.parse('{"__proto__": {"target": "esp32"}}') as Json],
  ])('with %s is refused', (_, json) => {
    expect(() => target.parsePlan(json)).toThrow(expect.objectContaining({ code: 'ESP32_PLAN_INVALID', fault: 'invalid' }))
  })

  it('is refused in one line, whatever the name of a field holds', () => {
    expect(() => target.parsePlan({ ...plan, 'x\n12:00 all is well': true })).toThrow(
      /^[^\n]*expected no field "x\\n12:00 all is well"[^\n]*$/,
    )
  })

  it('of any JSON is a plan or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(() => target.parsePlan(json as Json)).toThrow(expect.objectContaining({ code: 'ESP32_PLAN_INVALID' }))
      }),
      { seed: 10 },
    )
  })
})
