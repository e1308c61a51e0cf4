import { expect, test } from 'vitest'
import { rollout } from '../src/rollout.ts'

test('only the lamp that proves that it runs the new image is confirmed', async () => {
  const lines: string[] = []
  const ends = await rollout((line) => lines.push(line))
  expect(Object.fromEntries(ends)).toEqual({
    honest: 'passed',
    'lies about its version': 'REFERENCE_VALUE',
    'can be debugged': 'MODE_DEBUG',
  })
  expect(lines).toHaveLength(3)
})
