import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

// What the gate samples, exhausted: run by .ci/soak. REFLASH_SOAK multiplies the counts.
const hourMs = 3_600_000
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['packages/*/test/**/*.soak.ts', 'test/**/*.soak.ts'], testTimeout: hourMs, hookTimeout: hourMs },
})
