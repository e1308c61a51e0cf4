import { crc32 } from '@reflash/core'
import { expect, test } from 'vitest'
import { chunkSums } from '../../src/serve/chunk-sums.ts'

const image = Uint8Array.from({ length: 1000 }, (_, index) => index * 7)

test('each part of each image has its own sum, asked for once or again', () => {
  const sums = chunkSums()
  const other = image.slice().reverse()
  for (let time = 0; time < 2; time++) {
    for (const [digest, bytes] of [['a', image] as const, ['b', other] as const]) {
      for (const [at, end] of [[0, 100] as const, [0, 200] as const, [100, 200] as const]) {
        const part = bytes.subarray(at, end)
        expect(sums.of(digest, at, part)).toBe(crc32(part))
      }
    }
  }
})

test('bytes that are damaged in memory after they were summed keep their sum, so that the device notices', () => {
  const sums = chunkSums()
  const held = image.slice()
  const sum = sums.of('a', 0, held)
  held[500] = (held[500] ?? 0) ^ 1
  expect(sums.of('a', 0, held)).toBe(sum)
})

test('the same part in other memory is summed anew: what was read badly once spoils no later reader', () => {
  const sums = chunkSums()
  const bad = image.slice()
  bad[500] = (bad[500] ?? 0) ^ 1
  sums.of('a', 0, bad)
  expect(sums.of('a', 0, image)).toBe(crc32(image))
})

test('however many ways an image is asked for in, every sum is right', () => {
  const sums = chunkSums()
  for (let time = 0; time < 2; time++) {
    for (let at = 0; at < 100; at++) {
      for (let end = at + 1; end <= at + 60; end++) expect(sums.of('a', at, image.subarray(at, end))).toBe(crc32(image.subarray(at, end)))
    }
  }
})
