import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { debianPeers, installDebianPeers } from './gate/debian-packages.ts'
import { installTarballs, packAll, useTarballs } from './gate/packages.ts'
import { runCommand } from './gate/run-command.ts'
import { type Count, failed, passed, runSteps, type Step, sum } from './gate/steps.ts'
import { countReport, passedTests } from './gate/vitest-report.ts'
import { interopPage, type NodeResult } from './interop/interop-page.ts'
import { ensurePeer, nodePeers, type Peer, peerVariable, toolPeers } from './interop/peers.ts'
import { root } from './workspaces.ts'

process.chdir(root)
const temporary = mkdtempSync(join(tmpdir(), 'reflash-interop-'))
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))

// The whole suite once per Node takes as many times as long as the gate's.
const withSuites = process.env.REFLASH_SUITES === '1'
const nodes: NodeResult[] = []
const reportOf = (name: string) => join(temporary, `${name}.json`)

/** Runs vitest with the given Node, which is also the one that tests start, and counts its report. */
async function vitest(name: string, node: string, ...args: readonly string[]): Promise<Count> {
  const env = {
    PATH: [dirname(node), process.env.PATH].join(delimiter),
    ...Object.fromEntries(toolPeers.map((peer) => [peerVariable(peer), peer.executable])),
  }
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportOf(name)}`]
  await runCommand([node, 'node_modules/vitest/vitest.mjs', 'run', ...args, ...reporters], { live: true, env })
  return countReport(reportOf(name))
}

function peerStep(peer: Peer): Step {
  return {
    name: `peer ${peer.name} ${peer.version}`,
    async run() {
      const failure = await ensurePeer(peer)
      return failure === undefined ? passed() : failed(failure)
    },
  }
}

function nodeStep({ version, executable }: Peer): Step {
  return {
    name: `the packed packages${withSuites ? ' and the whole suite' : ''} under Node ${version}`,
    async run() {
      const packed = await packAll(join(temporary, `packed-${version}`))
      const folder = join(temporary, `consumer-${version}`)
      await installTarballs(packed, folder)
      const used = await useTarballs(packed, folder, executable)
      const suite = withSuites ? await vitest(`node-${version}`, executable) : passed(0)
      nodes.push({ version, entryPoints: used.passed, tests: suite.passed })
      return sum([used, suite])
    },
  }
}

const record: Step = {
  name: 'docs/interop.md',
  async run() {
    const tests = passedTests(reportOf('interop'))
    const page = await interopPage({ date: new Date(), tools: toolPeers, debianPackages: Object.keys(debianPeers), tests, nodes })
    writeFileSync('docs/interop.md', page)
    return passed()
  },
}

// With a word, only the steps whose name holds it: `.ci/interop peer`.
const [word = ''] = process.argv.slice(2)
const steps: readonly Step[] = [
  { name: "Debian's peers", run: () => installDebianPeers() },
  ...[...toolPeers, ...nodePeers].map(peerStep),
  { name: 'tests against the peers', run: () => vitest('interop', process.execPath, '--config', 'vitest.interop.config.ts') },
  {
    name: 'build',
    async run() {
      const { code, output } = await runCommand(['npm', 'run', 'build'])
      return code === 0 ? passed() : failed(output)
    },
  },
  ...nodePeers.map(nodeStep),
  record,
]
await runSteps(steps.filter(({ name }) => name.includes(word)))
