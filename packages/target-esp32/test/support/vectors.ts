import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../../../..')

/** Where the vectors of the ESP32 lie; undefined where they are missing, which fails in CI. */
export function vectorFolder(): string | undefined {
  const folder = join(resolve(repository, process.env.REFLASH_VECTORS ?? '../shared/vectors'), 'esp32')
  if (existsSync(folder)) return folder
  if (process.env.CI !== undefined) throw new Error(`no vectors in ${folder}: set REFLASH_VECTORS`)
  console.warn(`skipped: no vectors in ${folder}; set REFLASH_VECTORS`)
  return undefined
}

/** Every file below a folder, with / between the parts of its path. */
export function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort()
}

export function vector(folder: string, name: string): Uint8Array {
  return readFileSync(join(folder, name))
}
