import { describe, expect, it } from 'vitest'
import type { MutantTable } from './mutant.ts'

/** Defines a test for each mutant. `npm run mutants` prints the same list as a table. */
export function testMutants({ suite, rules, mutants, unbroken }: MutantTable): void {
  describe(`mutants of a ${suite}`, () => {
    for (const { rule, wrong, play } of mutants) {
      it(`${rule} is the first rule to fail where the plugin ${wrong}`, async () => {
        const failure = await play()
        expect(failure?.rule, failure?.reason).toBe(rule)
      })
    }

    it('has a mutant for every rule, or says why it has none', () => {
      const broken = new Set(mutants.map(({ rule }) => rule))
      expect(rules.filter((rule) => !broken.has(rule))).toEqual(rules.filter((rule) => unbroken[rule] !== undefined))
    })
  })
}
