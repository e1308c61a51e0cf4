import * as conformance from '@reflash/core/conformance'

interface ShownRule {
  readonly id: string
  readonly title: string
  readonly needs?: { readonly what: string }
}

interface ShownSuite {
  readonly kind: string
  readonly rules: readonly ShownRule[]
}

/** Every published suite: whatever is exported under a name that ends with `Rules`. */
function suites(): readonly ShownSuite[] {
  return Object.entries(conformance)
    .filter(([name, value]) => name.endsWith('Rules') && typeof value === 'object')
    .map(([, suite]) => suite as unknown as ShownSuite)
    .sort((a, b) => (a.kind < b.kind ? -1 : 1))
}

/** The text of docs/rules.md. */
export function rulesPage(): string {
  const found = suites()
  const lines = [
    '# Rules of the suites',
    '',
    '<!-- Generated from the suites by `npm run docs`; do not edit. -->',
    '',
    'What `@reflash/core/conformance` asks of a plugin, in the order in which it asks. How to run it: [write-a-plugin.md](write-a-plugin.md).',
    'Every rule is asked twice, of the plugin and of the plugin inside a wrapper. A rule with something in its last column is asked only of plugins that have it.',
    '',
    `${found.reduce((sum, { rules }) => sum + rules.length, 0)} rules in ${found.length} suites.`,
  ]
  for (const { kind, rules } of found) {
    lines.push('', `## ${kind}`, '', '| rule | what holds of a right plugin | only with |', '|---|---|---|')
    for (const { id, title, needs } of rules) lines.push(`| \`${id}\` | ${cell(title)} | ${cell(needs?.what ?? '')} |`)
  }
  return `${lines.join('\n')}\n`
}

const cell = (text: string) => text.replaceAll('|', '\\|')
