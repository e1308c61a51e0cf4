import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installDebianPeers } from './gate/debian-packages.ts'
import { bundleForBrowser, checkTarballs, installTarballs, packAll, typeTarballs, useTarballs } from './gate/packages.ts'
import { runCommand } from './gate/run-command.ts'
import { failed, passed, runSteps, type Step, sum } from './gate/steps.ts'
import { countReport } from './gate/vitest-report.ts'
import { followGuide } from './guide/follow-guide.ts'
import { root, workspacesIn } from './workspaces.ts'

process.chdir(root)
const temporary = mkdtempSync(join(tmpdir(), 'reflash-gate-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))

/** A step that is one command, which passes where it exits with 0. */
function commandStep(name: string, ...command: readonly string[]): Step {
  return {
    name,
    async run() {
      const { code, output } = await runCommand(command)
      return code === 0 ? passed() : failed(output)
    },
  }
}

const tests: Step = {
  name: 'tests',
  async run() {
    const report = join(temporary, 'tests.json')
    const command = ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    await runCommand(command, { live: true })
    return countReport(report)
  },
}

const packages: Step = {
  name: 'packed packages: publint, types, an empty folder, a browser bundle',
  async run() {
    const packed = await packAll(join(temporary, 'packed'))
    const folder = join(temporary, 'consumer')
    const [tarballs] = await Promise.all([checkTarballs(packed), installTarballs(packed, folder)])
    const [used, typed, bundled] = await Promise.all([
      useTarballs(packed, folder, process.execPath),
      typeTarballs(packed, folder),
      bundleForBrowser(folder),
    ])
    return sum([tarballs, used, typed, bundled])
  },
}

const guide: Step = {
  name: 'docs/write-a-target.md, followed word by word from packed packages',
  async run() {
    const packed = await packAll(join(temporary, 'packed-for-guide'))
    return followGuide('docs/write-a-target.md', packed, join(temporary, 'guide'))
  },
}

const examples: Step = {
  name: 'examples have one command and a smoke test',
  async run() {
    return sum(
      workspacesIn('examples').map(({ folder, manifest }) => {
        const tested = readdirSync(join(root, folder), { recursive: true }).some((file) => /^test\/.*\.test\.ts$/.test(String(file)))
        if (manifest.scripts?.start === undefined) return failed(`${folder}: package.json has no "start" script`)
        return tested ? passed() : failed(`${folder}: has no test/*.test.ts`)
      }),
    )
  },
}

// With a word, only the steps whose name holds it: `.ci/run packed`.
const [word = ''] = process.argv.slice(2)
const steps: readonly Step[] = [
  { name: "Debian's peers", run: () => installDebianPeers() },
  commandStep('format and lint', 'biome', 'ci', '--colors=off', '--error-on-warnings', '.'),
  commandStep('types', 'tsc', '--pretty', 'false', '-p', '.'),
  commandStep('programs in the READMEs compile', 'node', 'scripts/check-readmes.ts'),
  commandStep('generated docs are up to date', process.execPath, '--conditions=@reflash/source', 'scripts/generate-docs.ts', '--check'),
  examples,
  tests,
  commandStep('build', 'npm', 'run', 'build'),
  packages,
  guide,
  commandStep('unused files, exports and dependencies', 'knip', '--no-progress', '--no-config-hints'),
  commandStep('API reference', 'typedoc', '--emit', 'none'),
]
await runSteps(steps.filter(({ name }) => name.includes(word)))
