import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { choosePlatform, type Descriptor, digestOf, mediaTypes, OtaError, parsePlatform, samePlatform } from '../../src/index.ts'

function entry(content: string, platform?: string): Descriptor {
  const bytes = new TextEncoder().encode(content)
  const base = { mediaType: mediaTypes.manifest, digest: digestOf(bytes), size: bytes.length }
  return platform === undefined ? base : { ...base, platform: parsePlatform(platform) }
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof OtaError) return error.code
    throw error
  }
  return 'nothing thrown'
}

const s3 = entry('s3', 'esp32s3')
const s3r8 = entry('s3r8', 'custom/esp32s3r8')
const c3 = entry('c3', 'esp32c3')
const attestation = entry('sbom', 'unknown/unknown')

describe('choosePlatform', () => {
  test('takes the best of the wanted platforms, whatever the order of the index', () => {
    const wanted = [parsePlatform('esp32s3r8'), parsePlatform('esp32s3')]
    expect(choosePlatform({ manifests: [s3, c3, s3r8] }, wanted)).toBe(s3r8)
    expect(choosePlatform({ manifests: [s3, c3] }, wanted)).toBe(s3)
  })

  test('names the candidates where none fits', () => {
    expect(() => choosePlatform({ manifests: [s3, c3] }, [parsePlatform('esp32')])).toThrow(
      /custom\/esp32\b.*custom\/esp32s3, custom\/esp32c3/,
    )
    expect(codeOf(() => choosePlatform({ manifests: [s3, c3] }, [parsePlatform('esp32')]))).toBe('PLATFORM_NOT_FOUND')
  })

  test('does not take a variant for the plain platform, nor the plain platform for a variant', () => {
    const v7 = entry('v7', 'linux/arm/v7')
    expect(codeOf(() => choosePlatform({ manifests: [v7] }, [parsePlatform('linux/arm')]))).toBe('PLATFORM_NOT_FOUND')
    expect(codeOf(() => choosePlatform({ manifests: [entry('arm', 'linux/arm')] }, [parsePlatform('linux/arm/v7')]))).toBe(
      'PLATFORM_NOT_FOUND',
    )
  })

  test('refuses two different manifests for one platform and names both', () => {
    const other = entry('another s3', 'esp32s3')
    const run = () => choosePlatform({ manifests: [s3, other] }, [parsePlatform('esp32s3')])
    expect(codeOf(run)).toBe('PLATFORM_AMBIGUOUS')
    expect(run).toThrow(new RegExp(`${s3.digest}.*${other.digest}`))
  })

  test('counts the same manifest listed twice once', () => {
    expect(choosePlatform({ manifests: [s3, s3] }, [parsePlatform('esp32s3')])).toBe(s3)
    expect(choosePlatform({ manifests: [s3, s3] }, [])).toBe(s3)
  })

  test('needs no platform where the index holds one image, and refuses to guess where it holds more', () => {
    expect(choosePlatform({ manifests: [s3, attestation] }, [])).toBe(s3)
    expect(codeOf(() => choosePlatform({ manifests: [s3, c3] }, []))).toBe('PLATFORM_AMBIGUOUS')
    expect(codeOf(() => choosePlatform({ manifests: [entry('a'), entry('b')] }, []))).toBe('PLATFORM_AMBIGUOUS')
  })

  test('finds nothing in an index that is empty or holds attestations only', () => {
    expect(codeOf(() => choosePlatform({ manifests: [] }, []))).toBe('PLATFORM_NOT_FOUND')
    expect(codeOf(() => choosePlatform({ manifests: [attestation] }, []))).toBe('PLATFORM_NOT_FOUND')
    expect(codeOf(() => choosePlatform({ manifests: [attestation] }, [parsePlatform('unknown/unknown')]))).toBe('PLATFORM_NOT_FOUND')
  })

  test('keeps its message short for an index of thousands', () => {
    const manifests = Array.from({ length: 5000 }, (_, n) => entry(`${n}`, `custom/chip${n}`))
    expect(() => choosePlatform({ manifests }, [parsePlatform('esp32')])).toThrow(/and 4980 more/)
  })

  test('yields only a manifest of the index that has the best wanted platform present, and does not depend on order', () => {
    const chip = fc.constantFrom('esp32', 'esp32s2', 'esp32s3', 'linux/arm64', 'linux/arm/v7', 'linux/arm')
    fc.assert(
      fc.property(fc.uniqueArray(chip), fc.array(chip, { minLength: 1 }), (listed, names) => {
        const manifests = listed.map((name) => entry(name, name))
        const wanted = names.map(parsePlatform)
        const best = wanted.find((platform) =>
          manifests.some((one) => samePlatform(one.platform ?? { os: '', architecture: '' }, platform)),
        )
        if (best === undefined) return codeOf(() => choosePlatform({ manifests }, wanted)) === 'PLATFORM_NOT_FOUND'
        const chosen = choosePlatform({ manifests }, wanted)
        const reversed = choosePlatform({ manifests: [...manifests].reverse() }, wanted)
        return chosen === reversed && chosen.platform !== undefined && samePlatform(chosen.platform, best)
      }),
    )
  })
})
