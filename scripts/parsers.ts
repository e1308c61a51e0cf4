import { globSync } from 'node:fs'
import { join } from 'node:path'
import type { ParserFuzz } from '@reflash/core/testing'
import { root } from './workspaces.ts'

// Tries every parser of every package with seeded mutations of valid input, and prints what came of it.
// REFLASH_INPUTS: inputs for each parser, 10,000 where absent. REFLASH_SEED: the seed. Arguments: parts of names of parsers, all where none is given.

const inputs = Number(process.env.REFLASH_INPUTS ?? 10_000)
const wanted = process.argv.slice(2)
const head = ['package', 'parser', 'inputs', 'read', 'codes hit', 'escapes', 'inputs/s', 'slowest ms']
const line = (cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`)
let isGood = true

line(head)
line(head.map(() => '---'))
for (const file of globSync('packages/*/test/parsers.ts', { cwd: root }).sort()) {
  const { parsers } = (await import(join(root, file))) as { readonly parsers: readonly ParserFuzz[] }
  const [, name = ''] = file.split('/')
  for (const parser of parsers) {
    if (wanted.length > 0 && !wanted.some((part) => `${name} ${parser.name}`.includes(part))) continue
    try {
      const { accepted, codes, seconds, slowestMs } = await parser.run({ inputs })
      line([
        name,
        parser.name,
        inputs,
        accepted,
        `${Object.keys(codes).length} of ${parser.codes.length}`,
        0,
        Math.round(inputs / seconds),
        slowestMs.toFixed(1),
      ])
    } catch (error) {
      isGood = false
      line([name, parser.name, inputs, '', `of ${parser.codes.length}`, 'failed', '', ''])
      console.error(error instanceof Error ? error.message : error)
    }
  }
}
process.exit(isGood ? 0 : 1)
