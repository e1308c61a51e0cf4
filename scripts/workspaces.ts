import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The root of the repository, with a trailing slash. */
export const root = fileURLToPath(new URL('../', import.meta.url))

export interface Workspace {
  /** Path from the root, such as `packages/core`. */
  readonly folder: string
  readonly manifest: {
    readonly name: string
    readonly version: string
    readonly private?: boolean
    readonly bin?: Readonly<Record<string, string>>
    readonly exports?: Readonly<Record<string, unknown>>
    readonly scripts?: Readonly<Record<string, string>>
  }
}

/** The workspaces below one folder of the root, in the order of their names. */
export function workspacesIn(folder: 'packages' | 'examples'): readonly Workspace[] {
  if (!existsSync(`${root}${folder}`)) return []
  return readdirSync(`${root}${folder}`)
    .sort()
    .filter((name) => existsSync(`${root}${folder}/${name}/package.json`))
    .map((name) => ({
      folder: `${folder}/${name}`,
      manifest: JSON.parse(readFileSync(`${root}${folder}/${name}/package.json`, 'utf8')) as Workspace['manifest'],
    }))
}

/** The names that others import a package by: `@reflash/core`, `@reflash/core/testing`, without `./package.json`. */
export function entryPoints({ manifest }: Workspace): readonly string[] {
  return Object.keys(manifest.exports ?? {})
    .filter((path) => path !== './package.json')
    .map((path) => manifest.name + path.slice(1))
}
