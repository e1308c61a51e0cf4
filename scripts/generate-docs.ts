import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { errorsPage, errorTables } from './docs/errors-page.ts'
import { rulesPage } from './docs/rules-page.ts'
import { root } from './workspaces.ts'

// Writes the pages that are made from the sources; with --check it writes nothing and fails where a page is not what it would be.

process.chdir(root)
const pages = new Map([
  ['docs/errors.md', errorsPage(await errorTables())],
  ['docs/rules.md', rulesPage()],
])
const stale = [...pages].filter(([file, text]) => !existsSync(file) || readFileSync(file, 'utf8') !== text)
if (process.argv.includes('--check')) {
  for (const [file] of stale) process.stderr.write(`${file} is not what the sources say: run \`npm run docs\` and commit it\n`)
  process.exit(stale.length === 0 ? 0 : 1)
}
mkdirSync('docs', { recursive: true })
for (const [file, text] of stale) {
  writeFileSync(file, text)
  process.stdout.write(`${file}\n`)
}
