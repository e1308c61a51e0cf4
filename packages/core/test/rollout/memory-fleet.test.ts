import { fleetStoreSuite } from '@reflash/core/conformance'
import { describe, it } from 'vitest'
import { rightFleet } from '../mutants/fleet-mutants.ts'

describe('memoryFleet', () => {
  fleetStoreSuite({ describe, it }, rightFleet)
})
