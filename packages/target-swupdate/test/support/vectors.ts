import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../../../..')

/** The folder of updates that Debian's tools have made; undefined where it is missing, which fails in CI. */
export function vectors(): string | undefined {
  const folder = join(resolve(repository, process.env.REFLASH_VECTORS ?? '../shared/vectors'), 'swu')
  if (existsSync(folder)) return folder
  if (process.env.CI !== undefined) throw new Error(`no vectors in ${folder}: set REFLASH_VECTORS`)
  console.warn(`skipped: no vectors in ${folder}; set REFLASH_VECTORS`)
  return undefined
}
