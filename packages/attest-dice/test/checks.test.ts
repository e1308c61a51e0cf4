import { diceChecks } from '@reflash/attest-dice'
import { brokenChains } from '@reflash/attest-dice/testing'
import { describe, expect, test } from 'vitest'
import { appraise, failed } from './support/appraise.ts'

const chains = brokenChains()

describe('a chain with', () => {
  test.each(chains.map((chain) => [chain.name, chain] as const))('%s is judged by its own checks', async (_, chain) => {
    const result = await appraise(chain)
    const reasons = result.checks.filter(({ status }) => status === 'failed')
    expect(failed(result), JSON.stringify(reasons)).toEqual([...chain.fails].sort())
    expect(result.tier === 'affirming').toBe(chain.fails.length === 0)
    for (const { reason } of reasons) expect(reason).toMatch(/expected .+, found /)
  })
})

describe('each check', () => {
  test('is missed where it is left out: a chain passes, or fails otherwise than it should', async () => {
    const table: string[] = []
    for (const { name, group } of diceChecks) {
      const missing: string[] = []
      let passes = 0
      for (const chain of chains.filter(({ fails }) => fails.includes(name))) {
        const result = await appraise(chain, name)
        if (failed(result).includes(name)) continue
        missing.push(chain.name)
        if (result.tier === 'affirming') passes += 1
      }
      table.push(
        `${group.padEnd(13)} ${name.padEnd(22)} ${String(missing.length).padStart(2)} chains would be judged wrongly, ${passes} of them affirmed; such as: ${missing[0]}`,
      )
      expect(missing.length, `${name} is missed by no chain`).toBeGreaterThan(0)
      // A key that cannot be used fails the signature that it should verify, too.
      if (name !== 'CERT_KEY') expect(passes, `${name}: expected a chain that passes without it`).toBeGreaterThan(0)
    }
    console.info(`${table.join('\n')}\n${table.length} checks, all of them missed`)
  })
})
