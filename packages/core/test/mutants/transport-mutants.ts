import { transportRules } from '@reflash/core/conformance'
import { brokenWireMutants, connectMutants } from './connect-mutants.ts'
import type { MutantTable } from './mutant.ts'
import { agentPortMutants, flashPortMutants } from './port-mutants.ts'
import { doorMutants, drainMutants, hostileMutants, imageMutants, serveMutants } from './serve-mutants.ts'
import { common, pushMutant } from './transport-maker.ts'

export const transportMutants: MutantTable = {
  suite: transportRules.kind,
  rules: transportRules.rules.map(({ id }) => id),
  mutants: [
    // A transport may lack any of its methods; what it has must be one.
    ...common('connect').filter(({ rule }) => rule !== 'transport/methods'),
    pushMutant('methods', 'has a serve() that is no function', () => ({ serve: true }) as never),
    pushMutant('powers', 'does not say which port it yields', () => ({ uses: undefined }) as never),
    ...connectMutants,
    ...agentPortMutants,
    ...flashPortMutants,
    ...brokenWireMutants,
    ...serveMutants,
    ...imageMutants,
    ...doorMutants,
    ...hostileMutants,
    ...drainMutants,
  ],
  unbroken: {},
}
