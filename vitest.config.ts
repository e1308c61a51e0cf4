import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

// Tests run the sources: the `@reflash/source` condition of every package points there, in this process and in those it starts.
const conditions = ['@reflash/source']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Half as many workers again as there are cores: tests of wires wait more than they compute.
    maxWorkers: '150%',
    sequence: { sequencer: LongestFirst },
    // Each file has a process of its own, at the price of a fifth of the time: a test that fails cannot make others fail.
    isolate: true,
    execArgv: ['--conditions=@reflash/source'],
    // Half of what a short-lived child costs is reading our sources; this lets the next one take the last one's result.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/node-compile', import.meta.url)) },
    // What a passing test prints is of no interest; what is skipped on this machine is said once, before.
    globalSetup: ['test/announce-skips.ts'],
    silent: 'passed-only',
    // For a machine that does other work too; what must be quick says so itself.
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
