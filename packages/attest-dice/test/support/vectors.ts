import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../../../..')

/** Where the vectors of DICE lie; undefined where they are missing, which fails in CI. */
export function vectorFolder(): string | undefined {
  const folder = join(resolve(repository, process.env.REFLASH_VECTORS ?? '../shared/vectors'), 'dice')
  if (existsSync(folder)) return folder
  if (process.env.CI !== undefined) throw new Error(`no vectors in ${folder}: set REFLASH_VECTORS`)
  console.warn(`skipped: no vectors in ${folder}; set REFLASH_VECTORS`)
  return undefined
}

/** Every file in DER below a folder, with / between the parts of its path: what may be X.509. */
export function derFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((name) => /\.der$|_X509_.*\.cert$/.test(name) && !name.endsWith('.spki.der'))
    .sort()
}

export function vector(folder: string, name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, name)))
}
