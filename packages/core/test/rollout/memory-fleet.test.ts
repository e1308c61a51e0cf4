import { fleetStoreSuite } from '@reflash/core/conformance'
import { memoryFleet } from '@reflash/core/testing'
import { describe, it } from 'vitest'

describe('memoryFleet', () => {
  fleetStoreSuite({ describe, it }, { make: async () => ({ plugin: memoryFleet(), dispose: async () => {} }) })
})
