import { open } from 'node:fs/promises'
import type { Descriptor } from '../../content/descriptor.ts'
import type { Body, ByteRange, Cache, HeldImage } from '../../plugin/cache.ts'
import type { CacheInstance, CacheSettings } from '../cache-suite.ts'
import { contextOf, descriptorOf, expectBytes, gather, sampleBytes } from '../content.ts'
import { plainSource, type Source } from '../sources.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<CacheInstance, CacheSettings>('cache')

/** Content, its descriptor, and a source of it. */
export interface Content {
  readonly bytes: Uint8Array
  readonly descriptor: Descriptor
  readonly source: Source
}

export function contentOf(size: number, seed = 1): Content {
  const bytes = sampleBytes(size, seed)
  return { bytes, descriptor: descriptorOf(bytes), source: plainSource(bytes) }
}

/** Holds content from a source, as core does. */
export function hold(cache: Cache, descriptor: Descriptor, source: Source, signal?: AbortSignal): Promise<HeldImage> {
  return cache.hold(descriptor, async () => source.open(), contextOf(signal))
}

/** The bytes of a response, in whatever form. */
export async function bodyBytes(body: Body): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body
  if (!('path' in body)) return gather('body()', body)
  const file = await open(body.path)
  try {
    const bytes = new Uint8Array(body.length)
    const { bytesRead } = await file.read(bytes, 0, body.length, body.offset)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Holds that an image gives these bytes, both as a stream and as a body. */
export async function gives(image: HeldImage, bytes: Uint8Array, range?: ByteRange): Promise<void> {
  const { offset = 0, length = bytes.length - offset } = range ?? {}
  const expected = bytes.subarray(offset, offset + length)
  const shown = range === undefined ? '' : `{ offset: ${offset}, length: ${range.length} }`
  expectBytes(`open(${shown})`, await gather('open()', image.open(range)), expected)
  expectBytes(`body(${shown})`, await bodyBytes(image.body(range)), expected)
}
