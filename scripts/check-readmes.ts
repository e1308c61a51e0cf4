import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './gate/run-command.ts'
import { root } from './workspaces.ts'

// Writes every TypeScript program of the READMEs and docs into a folder of the workspace, where package names resolve, and compiles them all.

process.chdir(root)
const folder = '.cache/readme-programs'
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })

let programs = 0
for (const file of globSync(['README.md', 'docs/**/*.md', 'packages/*/README.md', 'examples/*/README.md']).filter(
  (name) => !name.includes('node_modules'),
)) {
  for (const [, program = ''] of readFileSync(file, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
    programs += 1
    const name = `${file.replaceAll('/', '-').replace(/\.md$/, '')}-${programs}.ts`
    writeFileSync(join(folder, name), `${program}\nexport {}\n`)
  }
}
const tsconfig = { extends: '../../tsconfig.json', compilerOptions: { noEmit: true }, include: ['*.ts'] }
writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
const { code, output } = await runCommand(['tsc', '-p', folder])
process.stdout.write(code === 0 ? `${programs} programs compile\n` : output)
process.exit(code)
