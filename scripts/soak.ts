import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './gate/run-command.ts'
import { passed, runSteps } from './gate/steps.ts'
import { countReport, passedTests } from './gate/vitest-report.ts'
import { root } from './workspaces.ts'

process.chdir(root)
const temporary = mkdtempSync(join(tmpdir(), 'reflash-soak-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))
const report = join(temporary, 'soak.json')
const times = process.env.REFLASH_SOAK ?? '1'

await runSteps([
  {
    name: `soak, counts times ${times}`,
    async run() {
      const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
      await runCommand(['vitest', 'run', '--config', 'vitest.soak.config.ts', ...reporters], { live: true, env: { REFLASH_SOAK: times } })
      return countReport(report)
    },
  },
  {
    name: 'docs/soak.md',
    async run() {
      const lines = [
        '# The long runs',
        '',
        '<!-- Written by .ci/soak; do not edit. -->',
        '',
        `Last run: ${new Date().toISOString().slice(0, 10)}, counts times ${times}, Node ${process.versions.node}.`,
        '',
        '| test | seconds |',
        '|---|---|',
        ...passedTests(report).map(({ file, name, durationMs }) => `| ${name} (\`${file}\`) | ${(durationMs / 1000).toFixed(1)} |`),
      ]
      writeFileSync('docs/soak.md', `${lines.join('\n')}\n`)
      return passed()
    },
  },
])
