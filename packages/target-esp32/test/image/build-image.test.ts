import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BuildOptions, buildImage, chips, inspectImage } from '../../src/index.ts'
import { demoImage } from '../../src/testing/index.ts'

const chipNames = chips.map(({ name }) => name)
const text = (limit: number) => fc.string({ unit: fc.constantFrom(...'abcXYZ019.-_ '), maxLength: limit })

const options: fc.Arbitrary<BuildOptions> = fc
  .record({
    chip: fc.constantFrom(...chipNames),
    segments: fc.array(
      fc.record({
        loadAddress: fc.integer({ min: 0x5000_0000 + 0x0500_0000, max: 0xffff_fff0 }),
        data: fc.uint8Array({ maxLength: 100 }).map((bytes) => bytes.subarray(0, bytes.length - (bytes.length % 4))),
      }),
      { minLength: 1, maxLength: 16 },
    ),
    appDescription: fc.record({
      version: text(31),
      projectName: text(31),
      idfVersion: text(31),
      time: text(15),
      date: text(15),
      secureVersion: fc.integer({ min: 0, max: 4 }),
      minEfuseBlockRevision: fc.integer({ min: 0, max: 99 }),
      maxEfuseBlockRevision: fc.integer({ min: 100, max: 300 }),
    }),
    entryPoint: fc.nat(),
    minChipRevision: fc.integer({ min: 1, max: 99 }),
    maxChipRevision: fc.integer({ min: 100, max: 999 }),
    flashMode: fc.constantFrom('qio' as const, 'qout' as const, 'dio' as const, 'dout' as const),
    sizeCode: fc.integer({ min: 0, max: 7 }),
    appendHash: fc.boolean(),
  })
  .map(({ sizeCode, ...rest }) => ({ ...rest, flashSizeBytes: 2 ** sizeCode * 1024 * 1024 }))

describe('buildImage', () => {
  it('builds what inspectImage reads back, without a problem', async () => {
    await fc.assert(
      fc.asyncProperty(options, async (built) => {
        const image = buildImage(built)
        const report = await inspectImage(image)
        expect(report.problems).toEqual([])
        expect(report).toMatchObject({
          kind: 'esp32-app',
          chip: built.chip,
          sizeBytes: image.length,
          appVersion: built.appDescription?.version,
          projectName: built.appDescription?.projectName,
          idfVersion: built.appDescription?.idfVersion,
          compileTime: built.appDescription?.time,
          compileDate: built.appDescription?.date,
          secureVersion: built.appDescription?.secureVersion,
          minEfuseBlockRevision: built.appDescription?.minEfuseBlockRevision,
          maxEfuseBlockRevision: built.appDescription?.maxEfuseBlockRevision,
          entryPoint: built.entryPoint,
          minChipRevision: built.minChipRevision,
          maxChipRevision: built.maxChipRevision,
          flashMode: built.flashMode,
          flashSizeBytes: built.flashSizeBytes,
          hashAppended: built.appendHash,
        })
        const lengths = built.segments.map(({ data }, index) => data.length + (index === 0 ? 256 : 0))
        expect(report.segments.map(({ lengthBytes }) => lengthBytes)).toEqual(lengths)
        expect(report.segments.map(({ loadAddress }) => loadAddress)).toEqual(built.segments.map(({ loadAddress }) => loadAddress))
      }),
      { seed: 2, numRuns: 200 },
    )
  })

  it.each(chips.flatMap(({ name, flashMHz }) => [...new Set(Object.values(flashMHz))].map((mhz) => [name, mhz] as const)))(
    'encodes the flash frequency of %s at %i MHz by the table of that chip',
    async (chip, mhz) => {
      const { mapped } = chips.find(({ name }) => name === chip) as (typeof chips)[number]
      const loadAddress = (mapped[0] as readonly [number, number])[0] + 32
      const image = buildImage({ chip, flashMHz: mhz, segments: [{ loadAddress, data: new Uint8Array(4) }], appDescription: {} })
      expect(await inspectImage(image)).toMatchObject({ chip, flashMHz: mhz, problems: [] })
    },
  )

  it.each(chipNames)('builds the same demo image for %s each time, of the size asked for', async (chip) => {
    const image = demoImage({ chip, version: '1.0.0', sizeBytes: 2048 })
    expect(image.length).toBe(2048)
    expect(demoImage({ chip, version: '1.0.0', sizeBytes: 2048 })).toEqual(image)
    expect(demoImage({ chip, version: '1.0.1', sizeBytes: 2048 })).not.toEqual(image)
    expect(await inspectImage(image)).toMatchObject({ kind: 'esp32-app', chip, appVersion: '1.0.0', problems: [] })
  })

  const good: BuildOptions = { chip: 'esp32', segments: [{ loadAddress: 0x4008_0000, data: new Uint8Array(8) }] }

  it.each<[string, Partial<BuildOptions>]>([
    ['chip', { chip: 'esp99' as 'esp32' }],
    ['segments', { segments: [] }],
    ['segments', { segments: Array.from({ length: 17 }, () => good.segments[0] as BuildOptions['segments'][number]) }],
    ['segments', { segments: [{ loadAddress: 0, data: new Uint8Array(16 * 1024 * 1024) }] }],
    ['segments[0].data', { segments: [{ loadAddress: 0, data: new Uint8Array(3) }] }],
    ['segments[0].loadAddress', { segments: [{ loadAddress: 2 ** 32, data: new Uint8Array(4) }] }],
    ['entryPoint', { entryPoint: -1 }],
    ['minChipRevision', { minChipRevision: 65_536 }],
    ['maxChipRevision', { maxChipRevision: 1.5 }],
    ['flashMode', { flashMode: 'spi' as 'dio' }],
    ['flashMHz', { flashMHz: 60 }],
    ['flashSizeBytes', { flashSizeBytes: 3 * 1024 * 1024 }],
    ['appDescription.version', { appDescription: { version: 'x'.repeat(32) } }],
    ['appDescription.version', { appDescription: { version: 'ü'.repeat(16) } }],
    ['appDescription.elfSha256', { appDescription: { elfSha256: 'AB' } }],
    ['appDescription.secureVersion', { appDescription: { secureVersion: -1 } }],
    ['appDescription.mmuPageLog2', { appDescription: { mmuPageLog2: 256 } }],
  ])('refuses a wrong %s and names it', (name, wrong) => {
    expect(() => buildImage({ ...good, ...wrong })).toThrow(
      expect.objectContaining({ code: 'BUILD_INVALID', message: expect.stringContaining(`${name}: expected`) }),
    )
  })
})
