import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { errorsPage, errorTables } from '../scripts/docs/errors-page.ts'
import { root } from '../scripts/workspaces.ts'

const tables = await errorTables()
const documented = new Set([...readFileSync(`${root}docs/errors.md`, 'utf8').matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map(([, code]) => code))
const codes = [...tables.values()].flatMap((table) => Object.keys(table))

const sources = globSync('packages/*/src/**/*.ts', { cwd: root })
  .filter((file) => !file.endsWith('-errors.ts'))
  .map((file) => ({ file, text: readFileSync(root + file, 'utf8') }))

describe('error codes', () => {
  it('are all in docs/errors.md, and nothing else is', () => {
    expect([...documented].sort()).toEqual([...codes].sort())
  })

  it('are described by docs/errors.md as their tables do', () => {
    expect(readFileSync(`${root}docs/errors.md`, 'utf8')).toBe(errorsPage(tables))
  })

  it('belong to one package each', () => {
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([])
  })

  it('are thrown only through a table: every code given to an error factory or to OtaError is in one', () => {
    const thrown = sources.flatMap(({ file, text }) =>
      [...text.matchAll(/(?:\bfail|[a-z]Error|\bOtaError)\(\s*'([A-Z][A-Z0-9_]+)'/g)].map(([, code]) => ({ file, code: code! })),
    )
    expect(thrown.length).toBeGreaterThan(50)
    expect(thrown.filter(({ code }) => !codes.includes(code))).toEqual([])
  })

  it('are all used by the sources', () => {
    const all = sources.map(({ text }) => text).join('\n')
    expect(codes.filter((code) => !new RegExp(`['"\`]${code}['"\`]`).test(all))).toEqual([])
  })
})
