import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './gate/run-command.ts'
import { failed, runSteps, type Step } from './gate/steps.ts'
import { countReport, passedTests } from './gate/vitest-report.ts'
import { soakPage } from './soak/soak-page.ts'
import { root } from './workspaces.ts'

// Runs the long tests one file after the other, and writes each that passed into docs/soak.md at once: a later failure loses nothing.
// Arguments: the files to run, or parts of their paths; all where none is given.

process.chdir(root)
const page = 'docs/soak.md'
const temporary = mkdtempSync(join(tmpdir(), 'reflash-soak-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))
const times = process.env.REFLASH_SOAK ?? '1'
const wanted = process.argv.slice(2)
const files = globSync(['packages/*/test/**/*.soak.ts', 'test/**/*.soak.ts'], { exclude: ['**/node_modules/**'] }).sort()
const chosen = files.filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))

const steps = chosen.map(
  (file, index): Step => ({
    name: `${file}, counts times ${times}`,
    async run() {
      const report = join(temporary, `${index}.json`)
      const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
      await runCommand(['vitest', 'run', '--config', 'vitest.soak.config.ts', ...reporters, file], {
        live: true,
        env: { REFLASH_SOAK: times },
      })
      const count = countReport(report)
      if (count.failures.length > 0) return count
      const run = { file, date: new Date().toISOString().slice(0, 10), node: process.versions.node, times, tests: passedTests(report) }
      writeFileSync(page, soakPage(existsSync(page) ? readFileSync(page, 'utf8') : '', [run], files))
      return count
    },
  }),
)
const none: Step = {
  name: 'soak',
  run: async () => failed(`expected a part of one of these, found ${wanted.join(' ')}: ${files.join(', ')}`),
}
await runSteps(chosen.length === 0 ? [none] : steps)
