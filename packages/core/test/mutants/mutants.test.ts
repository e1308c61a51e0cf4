import { expect, it } from 'vitest'
import { allMutants, suitesToProve } from './all-mutants.ts'
import { testMutants } from './mutant-tests.ts'

// Those of a transport take as long as all others: they have a file, and so a process, of their own.
for (const table of allMutants) if (table.suite !== 'transport') testMutants(table)

it('has mutants for every suite that is published, or says why it has none', () => {
  expect(suitesToProve().filter(({ reason }) => reason === undefined)).toEqual([])
})
