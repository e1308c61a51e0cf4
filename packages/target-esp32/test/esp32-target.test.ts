import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { formatPlatform, isOtaError } from '@reflash/core'
import { describe, expect, it } from 'vitest'
import { chips, type Esp32TargetOptions, esp32Errors, esp32Target } from '../src/index.ts'
import { demoImage } from '../src/testing/index.ts'
import { context, heldImage } from './support/held-image.ts'
import { withSignatureSector } from './support/signed.ts'
import { vectorTable } from './support/vector-table.ts'
import { filesBelow, vector, vectorFolder } from './support/vectors.ts'

const folder = vectorFolder()

describe('esp32Target', () => {
  it('is a frozen plain object that tells what it can do', () => {
    const target = esp32Target({ rollback: false })
    expect(Object.isFrozen(target)).toBe(true)
    expect(Object.getPrototypeOf(target)).toBe(Object.prototype)
    expect(target).toMatchObject({ kind: 'target', name: 'esp32', spec: 0, supports: { slots: 2, rollback: false, resume: true } })
    expect(esp32Target().supports.rollback).toBe(true)
    expect({ ...target }.platforms({ id: 'd1', model: 'esp32' })).toHaveLength(1)
  })

  it.each<[string, Esp32TargetOptions]>([
    ['chips', { chips: [] }],
    ['chips', { chips: ['esp8266' as 'esp32'] }],
    ['models["sensor"]', { models: { sensor: 'esp99' as 'esp32' } }],
    ['partitionTableOffset', { partitionTableOffset: 0x8001 }],
    ['partitionTableOffset', { partitionTableOffset: 0 }],
  ])('refuses a wrong %s at once', (name, options) => {
    expect(() => esp32Target(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining(`${name}: expected`) }),
    )
  })

  it('matches models of its chips, and a device that says nothing', () => {
    const target = esp32Target({ chips: ['esp32s3', 'esp32c6'], models: { 'sensor-2': 'esp32c6', 'sensor-1': 'esp32' } })
    const matches = (model?: string) => target.matches({ id: 'd1', ...(model === undefined ? {} : { model }) })
    expect([matches(), matches('esp32s3'), matches('ESP32-S3'), matches('esp32s3r8'), matches('sensor-2')]).toEqual([
      true,
      true,
      true,
      true,
      true,
    ])
    expect([matches('esp32'), matches('esp32c9'), matches('sensor-1'), matches('raspberrypi'), matches('')]).toEqual([
      false,
      false,
      false,
      false,
      false,
    ])
  })

  it.each<[string | undefined, string[]]>([
    ['esp32s3r8', ['custom/esp32s3r8', 'custom/esp32s3']],
    ['esp32s3', ['custom/esp32s3']],
    ['ESP32-C6', ['custom/esp32-c6', 'custom/esp32c6']],
    ['sensor-2', ['custom/sensor-2', 'custom/esp32c3']],
    ['esp32 devkit v1', ['custom/esp32']],
    ['stm32', []],
    [undefined, []],
  ])('names the platforms of the model %s, best first', (model, expected) => {
    const target = esp32Target({ models: { 'sensor-2': 'esp32c3' } })
    expect(target.platforms({ id: 'd1', ...(model === undefined ? {} : { model }) }).map(formatPlatform)).toEqual(expected)
  })

  it('inspects a good image: size, chip, version, security version and its own facts', async () => {
    const bytes = demoImage({ chip: 'esp32c6', version: '2.1.0', secureVersion: 3, sizeBytes: 4096 })
    const image = heldImage(bytes, 100)
    expect(await esp32Target().inspect(image, context)).toEqual({
      size: 4096,
      model: 'esp32c6',
      version: '2.1.0',
      securityVersion: 3,
      facts: {
        chip: 'esp32c6',
        sizeBytes: 4096,
        crc32: image.crc32,
        md5: hash('md5', bytes),
        projectName: 'reflash-demo',
        appVersion: '2.1.0',
        secureVersion: 3,
        minChipRevision: 0,
        minEfuseBlockRevision: 0,
      },
    })
  })

  it('refuses an image with several problems, and names them all', async () => {
    const bytes = demoImage({ chip: 'esp32c6', version: '2.1.0', sizeBytes: 4096 })
    bytes[1000] = (bytes[1000] as number) ^ 1
    bytes[12] = 99
    try {
      await esp32Target().inspect(heldImage(bytes), context)
      expect.unreachable()
    } catch (error) {
      if (!isOtaError(error)) throw error
      expect([error.code, error.fault, error.stage]).toEqual(['IMAGE_REFUSED', 'invalid', 'inspect'])
      expect(error.because.map(({ code }) => code)).toEqual(['CHIP_UNKNOWN', 'IMAGE_CHECKSUM', 'IMAGE_HASH'])
      expect(error.message).toMatch(/expected checksum 0x.. over 2 segments, found 0x../)
    }
  })

  it.skipIf(folder === undefined)('takes of all vectors the good application images, and no other', async () => {
    const taken: string[] = []
    for (const name of filesBelow(folder as string)) {
      try {
        await esp32Target().inspect(heldImage(vector(folder as string, name)), context)
        taken.push(name)
      } catch (error) {
        if (!isOtaError(error) || error.code !== 'IMAGE_REFUSED') throw error
      }
    }
    const good = Object.entries(vectorTable).filter(([, [kind, , problems]]) => kind === 'esp32-app' && problems.length === 0)
    expect(taken).toEqual(good.map(([name]) => name).sort())
  })

  it.each(['sha256', 'sha512'] as const)(
    'measures what a device that runs the image proves, also under a %s descriptor',
    async (algorithm) => {
      const bytes = withSignatureSector(demoImage({ chip: 'esp32p4', version: '1', secureVersion: 5, sizeBytes: 2048 }))
      const expected = heldImage(bytes).descriptor.digest.slice(7)
      expect(await esp32Target().measure?.(heldImage(bytes, 500, algorithm), context)).toEqual([
        {
          environment: { vendor: 'espressif', model: 'esp32p4', layer: 'application' },
          digests: [{ hashAlg: 'sha256', digest: expected }],
          svn: 5,
        },
      ])
    },
  )

  it('heeds an abort while it inspects and measures', async () => {
    const image = heldImage(demoImage({ chip: 'esp32', version: '1', sizeBytes: 2048 }), undefined, 'sha512')
    const aborted = { ...context, signal: AbortSignal.abort() }
    await expect(esp32Target().inspect(image, aborted)).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(esp32Target().measure?.(image, aborted)).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('the error table', () => {
  it('has a fault, a meaning and an advice for every code, each a sentence', () => {
    for (const [code, row] of Object.entries(esp32Errors)) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/)
      expect(row.means, code).toMatch(/^[A-Z].*\.$/)
      expect(row.next, code).toMatch(/^[A-Z].*[.]$/)
    }
  })

  it('has no code that the sources do not use', () => {
    const sources = resolve(import.meta.dirname, '../src')
    const text = filesBelow(sources)
      .filter((name) => name !== 'esp32-errors.ts')
      .map((name) => readFileSync(resolve(sources, name), 'utf8'))
      .join('\n')
    expect(Object.keys(esp32Errors).filter((code) => !text.includes(`'${code}'`))).toEqual([])
  })
})

it('every chip has an image that is inspected as one for that chip', async () => {
  for (const { name } of chips) {
    const image = heldImage(demoImage({ chip: name, version: '1', sizeBytes: 1024 }))
    expect((await esp32Target().inspect(image, context)).model).toBe(name)
  }
})
