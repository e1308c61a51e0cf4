import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('the example updates a chip over a serial line until it is confirmed', { timeout: 30_000 }, async () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@reflash/source', main])
  expect(stdout).toContain('deliver passed')
  expect(stdout.trimEnd()).toMatch(/confirmed 1\.0\.0$/)
})
