import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

// One configuration for every package, run in the package's folder. Its entry points are read from its package.json: whatever has a
// `@reflash/source` there is built to the file of the same name in dist, and each `bin`. Types come from tsc (docs/adr/0003).

interface Manifest {
  readonly bin?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
  readonly imports?: Readonly<Record<string, unknown>>
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest

/** Sources that package.json names, in whatever depth of conditions. */
function sources(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('./src/') ? [value] : []
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(sources) : []
}

/** Built files that package.json names, as the sources they are built from: `imports` may offer one per platform. */
function built(value: unknown): string[] {
  if (typeof value === 'string') return /^\.\/dist\/.*\.js$/.test(value) ? [value.replace('/dist/', '/src/').replace(/\.js$/, '.ts')] : []
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(built) : []
}

const entries = new Set([
  ...sources(manifest.exports),
  ...sources(manifest.imports),
  ...built(manifest.exports),
  ...built(manifest.imports),
  ...built(manifest.bin ?? {}),
])

export default defineConfig({
  entry: Object.fromEntries([...entries].map((file) => [file.replace('./src/', '').replace(/\.ts$/, ''), file])),
  format: 'esm',
  target: 'node22',
  platform: 'neutral',
  // Entry points of one package share their modules, so that a WeakSet or an error class exists once.
  splitting: true,
  sourcemap: true,
  clean: true,
  silent: true,
  removeNodeProtocol: false,
  // Package imports (`#name`) are resolved where the package runs, not where it is built.
  external: [/^#/, /^node:/],
})
