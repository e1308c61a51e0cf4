import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { table } from '../table.ts'
import { registryAttacks } from './registry-attacks.ts'
import type { AttackResult } from './run-registry-attack.ts'

const child = fileURLToPath(new URL('child/attack-registry.ts', import.meta.url))

/** Runs every attack in a process of its own, so that its memory is theirs alone. */
export async function attackedInChild(): Promise<readonly AttackResult[]> {
  // Young garbage would be counted as growth of the first attacks.
  const flags = ['--expose-gc', '--max-semi-space-size=2', '--conditions=@reflash/source']
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, child], { maxBuffer: 2 ** 24 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AttackResult)
}

/** The table of docs/hostile-peers.md. */
export function registryTable(results: readonly AttackResult[]): string {
  const rows = results.map(({ name, foreignBytes, longestMs, peakMiB, after }) => {
    const { group, code = 'none: what was verified is served' } = registryAttacks.find((attack) => attack.name === name) as never
    return [name, group, code, foreignBytes, longestMs, peakMiB, after.join(', ')]
  })
  return table(['a registry with', 'aims at', 'code', 'bytes to a device', 'longest wait, ms', 'memory, MiB', 'afterwards'], rows)
}
