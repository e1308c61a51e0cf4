import { expect, test } from 'vitest'
import { soakPage } from '../scripts/soak/soak-page.ts'

const run = (file: string, date: string, name: string, facts = {}) => ({
  file,
  date,
  node: '24.0.0',
  times: '1',
  tests: [{ file, name, durationMs: 1500, facts }],
})

test('the page of the long runs keeps the last run of a file that did not run again, with its own date', () => {
  const first = soakPage('', [run('b.soak.ts', '2026-01-01', 'cuts'), run('a.soak.ts', '2026-01-01', 'kills')], ['a.soak.ts', 'b.soak.ts'])
  const second = soakPage(first, [run('a.soak.ts', '2026-02-02', 'kills', { inputs: 1_000_000, codes: 'X 1' })], ['a.soak.ts', 'b.soak.ts'])
  const [head, a, b, ...rest] = second.split(/^(?=## )/m)
  expect(head).toMatch(/^# The long runs\n/)
  expect(a).toMatch(/^## `a\.soak\.ts`\n\n2026-02-02, Node 24\.0\.0, counts times 1, 2 seconds\./)
  expect(a).toContain('| kills | 1,000,000 | X 1 | 1.5 |')
  expect(b).toMatch(/^## `b\.soak\.ts`\n\n2026-01-01, .*\n\n\| test \| seconds \|\n\|---\|---\|\n\| cuts \| 1\.5 \|\n$/)
  expect(rest).toEqual([])
})

test('the page of the long runs forgets files that are gone', () => {
  const page = soakPage('', [run('a.soak.ts', '2026-01-01', 'kills')], ['a.soak.ts'])
  expect(soakPage(page, [], ['b.soak.ts'])).not.toContain('## ')
})
