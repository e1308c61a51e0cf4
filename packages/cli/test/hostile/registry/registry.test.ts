import { beforeAll, describe, expect, test } from 'vitest'
import { attackedInChild, registryTable } from './attacked-in-child.ts'
import { registryAttacks } from './registry-attacks.ts'
import type { AttackResult } from './run-registry-attack.ts'

/** What the limits of the bench come to, with a machine that is busy with something else. */
const longestMs = 2_000
/** A manifest and a page of tags of 4 MiB each, as text and parsed, and the garbage of both. */
const mostMiB = 64

describe('the code of an attack', () => {
  const kinds = registryAttacks.filter(({ like }) => like === undefined)

  test('is its own: no two attacks have one in common', () => {
    const codes = kinds.map(({ code = 'none' }) => code)
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([])
    expect(new Set(registryAttacks.map(({ name }) => name)).size).toBe(registryAttacks.length)
  })

  test.each(registryAttacks.filter(({ like }) => like !== undefined))('is that of "$like" for its variant: $name', ({ like, code }) => {
    expect(code).toBeDefined()
    expect(kinds.find(({ name }) => name === like)).toMatchObject({ code })
  })
})

describe('a whole update system, and a registry with', () => {
  let results: readonly AttackResult[] = []
  beforeAll(async () => {
    results = await attackedInChild()
    console.log(registryTable(results))
  }, 240_000)

  test.each(registryAttacks)(
    '$name: nothing of it reaches a device, both are told $code, and both are updated afterwards',
    ({ name, code }) => {
      const result = results.find((one) => one.name === name) as AttackResult
      expect(result).toMatchObject({ foreign: [], foreignBytes: 0, leaked: false, after: ['1.1.0 confirmed', '1.1.0 confirmed'] })
      expect(result.longestMs).toBeLessThan(longestMs)
      expect(result.peakMiB).toBeLessThan(mostMiB)
      if (code === undefined) {
        expect(result.flashed).toBeGreaterThan(0)
        return
      }
      expect(result.flashed).toBe(0)
      expect(result.pull).toContain(code)
      expect(result.push).toContain(code)
    },
  )
})
