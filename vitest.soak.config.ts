import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

// What the gate samples, exhausted: run by .ci/soak. REFLASH_SOAK multiplies the counts.
// One parser's million takes up to half an hour of one core, and longer where others use the machine.
const limitMs = 4 * 3_600_000
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['packages/*/test/**/*.soak.ts', 'test/**/*.soak.ts'], testTimeout: limitMs, hookTimeout: limitMs },
})
