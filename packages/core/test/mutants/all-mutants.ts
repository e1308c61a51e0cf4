import { cacheMutants } from './cache-mutants.ts'
import { evidenceMutants } from './evidence-mutants.ts'
import { journalMutants } from './journal-mutants.ts'
import type { MutantTable } from './mutant.ts'
import { registryMutants } from './registry-mutants.ts'
import { signatureMutants } from './signature-mutants.ts'
import { targetMutants } from './target-mutants.ts'

/** Every mutant of every published suite. */
export const allMutants: readonly MutantTable[] = [
  journalMutants,
  cacheMutants,
  registryMutants,
  signatureMutants,
  evidenceMutants,
  targetMutants,
]
