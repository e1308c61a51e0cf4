import type { ErrorTable } from '@reflash/core'
import { workspacesIn } from '../workspaces.ts'

/** The error tables of every package by the package's name: whatever its index exports under a name that ends with `Errors`. */
export async function errorTables(): Promise<ReadonlyMap<string, ErrorTable>> {
  const tables = new Map<string, ErrorTable>()
  for (const { manifest } of workspacesIn('packages')) {
    const exported = (await import(manifest.name)) as Readonly<Record<string, unknown>>
    const found = Object.entries(exported).filter(([name, value]) => name.endsWith('Errors') && typeof value === 'object')
    if (found.length > 0) tables.set(manifest.name, Object.assign({}, ...found.map(([, table]) => table)) as ErrorTable)
  }
  return tables
}

const faults = [
  ['rejected', 'trust said no: never retry, alert'],
  ['unavailable', 'retry with backoff'],
  ['invalid', "the caller's mistake, or input that is not what it claims"],
  ['unsupported', 'a power that this composition lacks'],
  ['aborted', 'somebody cancelled'],
  ['internal', 'our bug: please report it'],
] as const

/** The text of docs/errors.md. */
export function errorsPage(tables: ReadonlyMap<string, ErrorTable>): string {
  const lines = [
    '# Errors',
    '',
    '<!-- Generated from the error tables of the packages by `npm run docs`; do not edit. -->',
    '',
    'Every error that reflash throws is an `OtaError` with a stable `code`, and a `fault` which says how to treat it:',
    '',
    '| fault | means |',
    '|---|---|',
    ...faults.map(([fault, means]) => `| \`${fault}\` | ${means} |`),
  ]
  for (const [name, table] of tables) {
    lines.push('', `## ${name}`, '', '| code | fault | what has happened | what to do |', '|---|---|---|---|')
    for (const [code, { fault, means, next }] of Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1))) {
      lines.push(`| \`${code}\` | \`${fault}\` | ${cell(means)} | ${cell(next)} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
