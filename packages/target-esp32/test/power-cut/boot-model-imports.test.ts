import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('the boot model, which decides what boots, imports nothing from what writes', () => {
  const text = readFileSync(new URL('../../src/testing/boot-model.ts', import.meta.url), 'utf8')
  const imported = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name]) => name)
  expect(imported.sort()).toEqual(['./nor-flash.ts', 'node:crypto', 'node:zlib'])
  expect(text).toContain("import type { NorFlash } from './nor-flash.ts'")
  expect(text).not.toMatch(/\brequire\(/)
})
