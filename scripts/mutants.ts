import { allMutants, suitesToProve } from '../packages/core/test/mutants/all-mutants.ts'

// Runs every mutant against its suite and prints which rule caught it. The tests run the same list; here it is to be read.

interface Row {
  readonly suite: string
  readonly rule: string
  readonly wrong: string
  /** The first rule that failed. */
  readonly first: string | undefined
  readonly isCaught: boolean
}

const isJson = process.argv.includes('--json')
// Each row as it comes: the whole takes about a minute.
const say = (...cells: readonly string[]): void => {
  if (!isJson) console.log(`| ${cells.join(' | ')} |`)
}
const head = ['suite', 'rule', 'what the plugin does wrong', 'first rule that failed', 'caught']
say(...head)
say(...head.map(() => '---'))
const rows: Row[] = []
const unbroken: { readonly rule: string; readonly reason: string }[] = []
const missing: string[] = []
for (const { suite, rules, mutants, unbroken: reasons } of allMutants) {
  for (const { rule, wrong, play } of mutants) {
    const first = (await play())?.rule
    rows.push({ suite, rule, wrong, first, isCaught: first === rule })
    say(suite, rule, wrong, first ?? 'none', first === rule ? 'yes' : 'NO')
  }
  for (const rule of rules.filter((id) => !mutants.some((mutant) => mutant.rule === id))) {
    const reason = reasons[rule]
    if (reason === undefined) missing.push(rule)
    else unbroken.push({ rule, reason })
  }
}

const caught = rows.filter(({ isCaught }) => isCaught).length
if (isJson) {
  console.log(JSON.stringify({ mutants: rows.length, caught, rows, unbroken, missing, withoutMutants: suitesToProve() }, null, 2))
} else {
  for (const { rule, reason } of unbroken) console.log(`\n${rule} has no mutant: ${reason}`)
  for (const { suite, reason } of suitesToProve())
    console.log(`\nThe suite of a ${suite} has no mutants: ${reason ?? 'write them, or their reason'}`)
  for (const rule of missing) console.log(`\n${rule} has no mutant: write one, or its reason`)
  console.log(`\n${rows.length} mutants, ${caught} caught`)
}
// What hangs in a mutant that was caught would keep the process.
const isProven = suitesToProve().every(({ reason }) => reason !== undefined)
process.exit(caught === rows.length && missing.length === 0 && isProven ? 0 : 1)
