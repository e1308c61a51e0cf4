import { createHash } from 'node:crypto'
import { type ByteStream, streamOf } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inspectImage, inspectLimitBytes } from '../../src/index.ts'
import { demoImage } from '../../src/testing/index.ts'
import { withSignatureSector } from '../support/signed.ts'
import { vector, vectorFolder } from '../support/vectors.ts'

const folder = vectorFolder()

describe.skipIf(folder === undefined)('real images', () => {
  const read = (name: string) => inspectImage(vector(folder as string, name))

  it('tell chip, versions, revisions, segments and flash settings', async () => {
    expect(await read('hello_world_esp32_deltaexample.bin')).toEqual({
      kind: 'esp32-app',
      chip: 'esp32',
      chipId: 0,
      sizeBytes: 120_432,
      crc32: expect.any(Number),
      sha256: createHash('sha256')
        .update(vector(folder as string, 'hello_world_esp32_deltaexample.bin'))
        .digest('hex'),
      projectName: 'hello_world',
      appVersion: 'qa-test-esp32c61-master-2025070',
      idfVersion: 'v6.0-dev-5018-gebc68a19107-dirt',
      compileTime: '15:36:45',
      compileDate: 'Jan  8 2026',
      elfSha256: 'd5c808c9c05233895eeff851927b781017ac7a6026e61019f0a9e01c8ae2e683',
      secureVersion: 0,
      minEfuseBlockRevision: 0,
      maxEfuseBlockRevision: 99,
      mmuPageBytes: 65_536,
      minChipRevision: 0,
      maxChipRevision: 399,
      entryPoint: 0x4008_101c,
      flashMode: 'dio',
      flashMHz: 40,
      flashSizeBytes: 2 * 1024 * 1024,
      hashAppended: true,
      segments: [
        { loadAddress: 0x3f40_0020, lengthBytes: 0x676c, offset: 0x20 },
        { loadAddress: 0x3ffb_0000, lengthBytes: 0x2784, offset: 0x6794 },
        { loadAddress: 0x4008_0000, lengthBytes: 0x70f8, offset: 0x8f20 },
        { loadAddress: 0x400d_0020, lengthBytes: 0xa3b0, offset: 0x1_0020 },
        { loadAddress: 0x4008_70f8, lengthBytes: 0x3240, offset: 0x1_a3d8 },
        { loadAddress: 0x5000_0000, lengthBytes: 0x28, offset: 0x1_d620 },
      ],
      checksum: { expected: '0x24', found: '0x24' },
      hash: {
        expected: '2d1a1270f7823d2a16ad2a28e6e9e97c3c17f787879b2acdd87fbea6fd30b60d',
        found: '2d1a1270f7823d2a16ad2a28e6e9e97c3c17f787879b2acdd87fbea6fd30b60d',
      },
      problems: [],
    })
  })

  it('of Arduino carry the version of its core, which is not that of the release', async () => {
    expect(await read('wled/WLED_0.14.2-b1_ESP32-S3_8MB.bin')).toMatchObject({
      projectName: 'arduino-lib-builder',
      appVersion: 'esp-idf: v4.4.3 6407ecb3f8',
    })
  })

  it('of older toolchains tell the least chip revision by one byte: the major on the ESP32, the minor elsewhere', async () => {
    expect((await read('esptool-test/secure_images/bootloader_unsigned_v2.bin')).minChipRevision).toBe(300)
    expect((await read('esptool-test/images/esp32s3_header.bin')).minChipRevision).toBe(10)
    expect((await read('esptool-test/images/esp32c3_header_min_rev.bin')).minChipRevision).toBe(255)
  })

  it.each([
    ['bootloader_signed.bin', 'v1', 'ecdsa-p256', 1],
    ['bootloader_signed_v2_rsa.bin', 'v2', 'rsa-3072', 1],
    ['bootloader_multi_signed_v2_rsa.bin', 'v2', 'rsa-3072', 3],
    ['bootloader_signed_v2_ecdsa192.bin', 'v2', 'ecdsa-p192', 1],
    ['bootloader_multi_signed_v2_ecdsa192.bin', 'v2', 'ecdsa-p192', 3],
    ['bootloader_signed_v2_ecdsa256.bin', 'v2', 'ecdsa-p256', 1],
    ['bootloader_multi_signed_v2_ecdsa256.bin', 'v2', 'ecdsa-p256', 3],
    ['bootloader_signed_v2_ecdsa384.bin', 'v2', 'ecdsa-p384', 1],
    ['bootloader_multi_signed_v2_ecdsa384.bin', 'v2', 'ecdsa-p384', 3],
  ] as const)('%s carries a secure boot signature %s, %s, of %i blocks', async (name, scheme, algorithm, blocks) => {
    const { signature } = await read(`esptool-test/secure_images/${name}`)
    expect(signature).toMatchObject({ scheme, algorithm, blocks })
  })

  // What `espsecure signature-info-v2` of esptool 5.6.0 prints for these files.
  it.each([
    ['ecdsa192', '1060f30bc482db11c470db5734f1f91b792c21ff1f0a3234544156d4f98d3311'],
    ['ecdsa256', 'f35cc5dbdde67f94a7bbcb5723371ba91822193582308f84cb95b4531219056d'],
    ['ecdsa384', 'fc9c01f2e8bc394d199b74b1cdf5060c10acc6cc385905877c5571c53009bc98'],
    ['rsa', 'cb2791a371b0c0322bf7370478ba0962224cab1cf2287879e429673e7da84463'],
  ])('signed with %s name their key by the digest that is burned into eFuse', async (scheme, digest) => {
    const { signature } = await read(`esptool-test/secure_images/bootloader_signed_v2_${scheme}.bin`)
    expect(signature?.keyDigests).toEqual([digest])
  })

  it('of the ESP8266 are told by their load address, also where the header reads like one of an ESP32', async () => {
    const delta = '../delta/detools-tests/micropython/esp8266-20190125-v1.10.bin'
    expect((await read(delta)).kind).toBe('esp8266-image')
  })
})

describe('inspectImage', () => {
  const image = withSignatureSector(demoImage({ chip: 'esp32s3', version: '1.2.3', sizeBytes: 4080 }), 2)

  it('reports the same however the bytes arrive', async () => {
    const whole = await inspectImage(image)
    expect(whole.problems).toEqual([])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 200 }), async (cuts) => {
        expect(await inspectImage(cutInto(image, cuts))).toEqual(whole)
      }),
      { seed: 1, numRuns: 60 },
    )
  })

  it('reports at every length that the file is cut to, and never throws', async () => {
    for (let length = 0; length < image.length; length += 7) {
      const { problems, sizeBytes } = await inspectImage(image.subarray(0, length))
      expect(sizeBytes).toBe(length)
      expect(problems.length, `cut to ${length}`).toBe(length === 4080 || length === 4096 ? problems.length : Math.max(1, problems.length))
    }
  })

  it('needs little memory and time for sixteen segments that claim 16 MiB each', async () => {
    const head = demoImage({ chip: 'esp32', version: '1', sizeBytes: 1024 }).slice(0, 32)
    head[1] = 16
    new DataView(head.buffer).setUint32(28, 0xff_fffc, true)
    const block = new Uint8Array(65_536)
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    async function* endless(): ByteStream {
      yield head
      for (let count = 0; count < 1024; count++) {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        yield block
      }
    }
    const { problems, sizeBytes } = await inspectImage(endless())
    expect(sizeBytes).toBe(32 + 1024 * 65_536)
    expect(problems.map(({ code }) => code)).toContain('SEGMENT_LENGTH')
    expect(most).toBeLessThan(1024 * 1024)
  })

  it('gives up on a stream that is larger than any flash', async () => {
    const block = new Uint8Array(8 * 1024 * 1024)
    let served = 0
    async function* tooMuch(): ByteStream {
      for (;;) {
        served += block.length
        yield block
      }
    }
    await expect(inspectImage(tooMuch())).rejects.toMatchObject({ code: 'IMAGE_TOO_LARGE', fault: 'invalid' })
    expect(served).toBe(inspectLimitBytes + block.length)
  })

  it('ends with ABORTED where the caller cancels, and closes its source', async () => {
    const abort = new AbortController()
    let closed = false
    async function* source(): ByteStream {
      try {
        for await (const chunk of streamOf(image, 100)) {
          abort.abort()
          yield chunk
        }
      } finally {
        closed = true
      }
    }
    await expect(inspectImage(source(), { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(closed).toBe(true)
  })

  it('keeps control characters of hostile text out of its report', async () => {
    const hostile = demoImage({ chip: 'esp32', version: '1.0\u001b[31m', projectName: 'a\u0007b', sizeBytes: 1024 })
    const report = await inspectImage(hostile)
    expect([report.appVersion, report.projectName]).toEqual(['1.0\ufffd[31m', 'a\ufffdb'])
  })

  it('is plain JSON', async () => {
    const report = await inspectImage(image)
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })
})

async function* cutInto(bytes: Uint8Array, cuts: readonly number[]): ByteStream {
  let at = 0
  for (let index = 0; at < bytes.length; index++) {
    const length = (cuts[index % cuts.length] as number) + (index % cuts.length === 0 ? 1 : 0)
    yield bytes.subarray(at, at + length)
    at += length
  }
}
