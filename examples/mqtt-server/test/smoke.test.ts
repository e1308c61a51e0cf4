import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('the example updates a device that has MQTT only, with its own broker', async () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@reflash/source', main])
  expect(stdout).toContain('offered 1.1.0')
  expect(stdout.trimEnd()).toMatch(/confirmed 1\.1\.0$/)
}, 60_000)
