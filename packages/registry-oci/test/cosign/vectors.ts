import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = process.env.REFLASH_VECTORS ?? fileURLToPath(new URL('../../../../../shared/vectors', import.meta.url))

/** A folder of other projects' vectors, or `undefined` (said loudly) where they are missing; in CI they must not be. */
export function vectors(
  folder: string,
): { readonly path: string; read(name: string): Uint8Array; list(name?: string): string[] } | undefined {
  const path = `${root}/${folder}`
  if (!existsSync(path)) {
    if (process.env.CI) throw new Error(`expected vectors in ${path}, found no such folder; set REFLASH_VECTORS`)
    console.warn(`SKIPPED: no vectors in ${path}; set REFLASH_VECTORS to the folder that holds them`)
    return undefined
  }
  return {
    path,
    read: (name) => new Uint8Array(readFileSync(`${path}/${name}`)),
    list: (name = '.') => readdirSync(`${path}/${name}`).sort(),
  }
}
