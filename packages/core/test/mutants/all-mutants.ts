import * as conformance from '@reflash/core/conformance'
import { cacheMutants } from './cache-mutants.ts'
import { evidenceMutants } from './evidence-mutants.ts'
import { fleetMutants } from './fleet-mutants.ts'
import { journalMutants } from './journal-mutants.ts'
import type { MutantTable } from './mutant.ts'
import { registryMutants } from './registry-mutants.ts'
import { signatureMutants } from './signature-mutants.ts'
import { targetMutants } from './target-mutants.ts'
import { transportMutants } from './transport-mutants.ts'

/** Every mutant of every published suite. */
export const allMutants: readonly MutantTable[] = [
  journalMutants,
  cacheMutants,
  registryMutants,
  signatureMutants,
  evidenceMutants,
  targetMutants,
  transportMutants,
  fleetMutants,
]

/** Suites that nobody has proven yet, with the reason. */
const unproven: Readonly<Record<string, string>> = {
  transport: 'its mutants are being written',
}

/** Every suite that is exported and has no mutants. */
export function suitesToProve(): readonly { readonly suite: string; readonly reason: string | undefined }[] {
  const kinds = Object.entries(conformance)
    .filter(([name, value]) => name.endsWith('Rules') && typeof value === 'object')
    .map(([, suite]) => (suite as unknown as { readonly kind: string }).kind)
  return kinds.filter((kind) => !allMutants.some(({ suite }) => suite === kind)).map((suite) => ({ suite, reason: unproven[suite] }))
}
