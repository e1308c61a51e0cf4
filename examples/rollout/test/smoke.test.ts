import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const run = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, ['--conditions=@reflash/source', main, ...args])).stdout

test('the example brings a release to ten devices in three waves', async () => {
  const printed = await run()
  expect(printed.match(/^start: /gm)).toHaveLength(3)
  expect(printed.trimEnd()).toMatch(/wave 3, finished: .*"confirmed":9,"failed":1.*$/)
})

test('the example stops in its first wave where devices break', async () => {
  const printed = await run('--broken', '10')
  // The first failure reaches the threshold: the other device of the wave is not offered it any more.
  expect(printed.trimEnd()).toMatch(/wave 1, paused: \{"offered":0,"confirmed":0,"failed":1.*$/)
})
