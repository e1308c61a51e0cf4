import { runCommand } from '../gate/run-command.ts'
import type { Peer } from './peers.ts'

export interface NodeResult {
  readonly version: string
  readonly entryPoints: number
  readonly tests: number
}

export interface InteropResult {
  readonly date: Date
  readonly tools: readonly Peer[]
  readonly debianPackages: readonly string[]
  readonly tests: readonly { readonly file: string; readonly name: string }[]
  readonly nodes: readonly NodeResult[]
}

async function debianVersion(name: string): Promise<string> {
  const { code, stdout } = await runCommand(['dpkg-query', '-W', name])
  return code === 0 ? stdout.trim().split('\t')[1]! : 'unknown'
}

/** The text of docs/interop.md. */
export async function interopPage({ date, tools, debianPackages, tests, nodes }: InteropResult): Promise<string> {
  const debian = await Promise.all(debianPackages.map(async (name) => `| ${name} | ${await debianVersion(name)} | Debian 12 |`))
  const files = [...new Set(tests.map(({ file }) => file))]
  const lines = [
    '# Peers that reflash was run against',
    '',
    '<!-- Written by .ci/interop; do not edit. -->',
    '',
    `Last run: ${date.toISOString().slice(0, 10)}, on ${process.platform}-${process.arch}. Debian's peers are also driven by every run of the gate.`,
    '',
    '## Peers',
    '',
    '| peer | version | from |',
    '|---|---|---|',
    ...tools.map(({ name, version, from }) => `| ${name} | ${version} | \`${from}\` |`),
    ...debian,
    '',
    '## What was seen',
    '',
    ...files.flatMap((file) => [`\`${file}\``, '', ...tests.filter((test) => test.file === file).map(({ name }) => `- ${name}`), '']),
    '## Runtimes',
    '',
    'The packages as they are published, installed into an empty folder, under the oldest Node that is supported and the newest of each line; with `REFLASH_SUITES=1` the whole test suite too:',
    '',
    '| Node | entry points and commands | tests |',
    '|---|---|---|',
    ...nodes.map(({ version, entryPoints, tests: count }) => `| ${version} | ${entryPoints} | ${count === 0 ? 'not run' : count} |`),
  ]
  return `${lines.join('\n')}\n`
}
