import type { SoakedTest } from '../gate/vitest-report.ts'

/** One run of one file. */
export interface SoakRun {
  readonly file: string
  /** ISO 8601, the day alone. */
  readonly date: string
  readonly node: string
  /** What the counts were multiplied with. */
  readonly times: string
  readonly tests: readonly SoakedTest[]
}

const head = `# The long runs

<!-- Written by .ci/soak; do not edit. -->

What the gate samples, exhausted: \`.ci/soak\` runs every \`*.soak.ts\`, \`.ci/soak <file>...\` those that are named. Each section is the last run of its
file, with its own date; a run that fails changes nothing here. \`REFLASH_SOAK\` multiplies the counts, \`REFLASH_SEED\` sets another seed.
`

/** The page with the sections of these runs renewed; those of other files that still exist stay as they were. */
export function soakPage(page: string, runs: readonly SoakRun[], files: readonly string[]): string {
  const sections = new Map<string, string>()
  for (const section of page.split(/^(?=## )/m).slice(1)) {
    const file = /^## `([^`]+)`/.exec(section)?.[1]
    if (file !== undefined && files.includes(file)) sections.set(file, section.trimEnd())
  }
  for (const run of runs) sections.set(run.file, sectionOf(run))
  const sorted = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, section]) => section)
  return `${[head.trimEnd(), ...sorted].join('\n\n')}\n`
}

function sectionOf({ file, date, node, times, tests }: SoakRun): string {
  const seconds = tests.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
  const names = [...new Set(tests.flatMap(({ facts }) => Object.keys(facts)))]
  const columns = ['test', ...names, 'seconds']
  const rows = tests.map(({ name, facts, durationMs }) => [name, ...names.map((key) => shown(facts[key])), (durationMs / 1000).toFixed(1)])
  return [
    `## \`${file}\``,
    '',
    `${date}, Node ${node}, counts times ${times}, ${seconds.toFixed(0)} seconds.`,
    '',
    `| ${columns.join(' | ')} |`,
    `|${columns.map(() => '---').join('|')}|`,
    ...rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`),
  ].join('\n')
}

function shown(value: unknown): string {
  return typeof value === 'number' ? value.toLocaleString('en') : String(value ?? '')
}
