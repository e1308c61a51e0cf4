import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

// Tests against peers of other registries, installed by .ci/interop.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['packages/*/test/**/*.interop.ts', 'test/**/*.interop.ts'], testTimeout: 120_000, silent: false },
})
