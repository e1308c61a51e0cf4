import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { entryPoints, root, type Workspace, workspacesIn } from '../workspaces.ts'
import { runCommand } from './run-command.ts'
import { type Count, failed, passed, sum } from './steps.ts'

export interface Packed {
  readonly workspace: Workspace
  readonly tarball: string
  readonly files: readonly string[]
}

/** Packs every package into `folder`, as `npm publish` would. */
export async function packAll(folder: string): Promise<readonly Packed[]> {
  mkdirSync(folder, { recursive: true })
  const packed: Packed[] = []
  for (const workspace of workspacesIn('packages')) {
    const command = ['npm', 'pack', '--json', '--pack-destination', folder]
    const { code, stdout, output } = await runCommand(command, { cwd: root + workspace.folder })
    if (code !== 0) throw new Error(`npm pack of ${workspace.folder} failed\n${output}`)
    const report: unknown = JSON.parse(stdout)
    // npm 11 prints a list, npm 12 an object by name.
    const [entry] = Object.values(report as object) as { filename: string; files: { path: string }[] }[]
    packed.push({ workspace, tarball: join(folder, entry!.filename), files: entry!.files.map(({ path }) => path) })
  }
  return packed
}

/** Looks at one tarball as publint, arethetypeswrong and a reader do. */
async function checkTarball({ workspace, tarball, files }: Packed): Promise<Count> {
  const { name } = workspace.manifest
  const missing = ['README.md', 'LICENSE', 'package.json'].filter((file) => !files.includes(file))
  if (readFileSync(`${root}${workspace.folder}/LICENSE`, 'utf8') !== readFileSync(`${root}LICENSE`, 'utf8'))
    missing.push('LICENSE as in the root')
  const surplus = files.filter((file) => !/^(dist|src)\/|^(README\.md|LICENSE|package\.json)$/.test(file))
  const counts = [
    missing.length + surplus.length === 0
      ? passed()
      : failed(`${name}: the tarball lacks ${missing.join(', ')}; has also ${surplus.join(', ')}`),
  ]
  for (const command of [
    ['publint', '--strict', tarball],
    ['attw', '--profile', 'esm-only', '--no-emoji', '--format', 'ascii', tarball],
  ]) {
    const { code, output } = await runCommand(command)
    counts.push(code === 0 ? passed() : failed(`${name}: ${command[0]}\n${output}`))
  }
  return sum(counts)
}

export async function checkTarballs(packed: readonly Packed[]): Promise<Count> {
  return sum(await Promise.all(packed.map(checkTarball)))
}

/** Installs the tarballs into an empty folder outside of the workspace, as a user does. */
export async function installTarballs(packed: readonly Packed[], folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const dependencies = Object.fromEntries(packed.map(({ workspace, tarball }) => [workspace.manifest.name, `file:${tarball}`]))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module', dependencies }))
  const { code, output } = await runCommand(['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder })
  if (code !== 0) throw new Error(`npm install of the packed packages failed\n${output}`)
}

/** Imports every entry point of the installed packages, and runs every command, under the given Node. */
export async function useTarballs(packed: readonly Packed[], folder: string, node: string): Promise<Count> {
  const counts: Count[] = []
  const names = packed.flatMap(({ workspace }) => entryPoints(workspace))
  const script = `${names.map((name) => `await import('${name}')`).join('\n')}\nprocess.stdout.write('ok')\n`
  writeFileSync(join(folder, 'import-all.js'), script)
  const { stdout, output } = await runCommand([node, 'import-all.js'], { cwd: folder })
  counts.push(output === 'ok' && stdout === 'ok' ? passed(names.length) : failed(`${node} import-all.js printed\n${output}`))
  for (const { workspace } of packed) {
    for (const [command, file] of Object.entries(workspace.manifest.bin ?? {})) {
      const path = join('node_modules', workspace.manifest.name, file)
      const help = await runCommand([node, path, '--help'], { cwd: folder })
      counts.push(help.code === 0 && help.output.includes(command) ? passed() : failed(`${node} ${path} --help\n${help.output}`))
      if (!existsSync(join(folder, 'node_modules/.bin', command))) counts.push(failed(`${command} is not linked into node_modules/.bin`))
    }
  }
  return sum(counts)
}

/** Type-checks a program that imports everything, declarations included, without the workspace's conditions. */
export async function typeTarballs(packed: readonly Packed[], folder: string): Promise<Count> {
  const names = packed.flatMap(({ workspace }) => entryPoints(workspace))
  writeFileSync(join(folder, 'types.ts'), names.map((name, index) => `export * as m${index} from '${name}'\n`).join(''))
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
    typeRoots: [`${root}node_modules/@types`],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['types.ts'] }))
  const { code, output } = await runCommand(['tsc', '-p', folder])
  // Only what we publish is ours to mend.
  const ours = output.split('\n').filter((line) => /@reflash|types\.ts/.test(line))
  return code === 0 || ours.length === 0 ? passed() : failed(`the declarations of the packed packages do not compile\n${ours.join('\n')}`)
}

/** Bundles core for a browser: what has a portable form must be taken, `node:` modules stay outside. */
export async function bundleForBrowser(folder: string): Promise<Count> {
  writeFileSync(join(folder, 'browser.js'), `import { crc32 } from '@reflash/core'\nglobalThis.crc = crc32(new Uint8Array([1]))\n`)
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: ['browser.js'],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    external: ['node:*'],
    logLevel: 'silent',
  })
  const text = outputFiles[0]!.text
  return /from "node:zlib"/.test(text) ? failed('a browser bundle of core asks for node:zlib: the portable CRC-32 was not taken') : passed()
}
