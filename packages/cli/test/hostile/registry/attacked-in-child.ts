import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { table } from '../table.ts'
import { type RegistryAttack, registryAttacks } from './registry-attacks.ts'
import type { AttackResult } from './run-registry-attack.ts'
import type { WarmMode, WarmResult } from './run-warm-attack.ts'
import { served, type WarmOutcome, warmAttacks } from './warm-attacks.ts'

/** Runs every attack in a process of its own, so that its memory is theirs alone. */
export const attackedInChild = (): Promise<readonly AttackResult[]> => resultsOf('child/attack-registry.ts')

/** The same for the attacks on a system that knows its releases. */
export async function attackedWarmInChild(): Promise<readonly WarmResult[]> {
  const run = (mode: WarmMode): Promise<readonly WarmResult[]> => resultsOf('child/attack-known.ts', mode)
  const [running, restarted] = await Promise.all([run('running'), run('restarted')])
  return running.flatMap((result, index) => [result, restarted[index] as WarmResult])
}

async function resultsOf<T>(script: string, ...args: readonly string[]): Promise<readonly T[]> {
  const child = fileURLToPath(new URL(script, import.meta.url))
  // Young garbage would be counted as growth of the first attacks.
  const flags = ['--expose-gc', '--max-semi-space-size=2', '--conditions=@reflash/source']
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, child, ...args], { maxBuffer: 2 ** 24 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}

/** The table of docs/hostile-peers.md. */
export function registryTable(results: readonly AttackResult[]): string {
  const rows = results.map(({ name, foreignBytes, longestMs, peakMiB, after }) => {
    const {
      like,
      group,
      code = 'none: what was verified is served',
    } = registryAttacks.find((attack) => attack.name === name) as RegistryAttack
    return [like === undefined ? name : `- ${name}`, group, code, foreignBytes, longestMs, peakMiB, after.join(', ')]
  })
  return table(['a registry with', 'aims at', 'code', 'bytes to a device', 'longest wait, ms', 'memory, MiB', 'afterwards'], rows)
}

/** The table of attacks on a system that knows its releases. Of several codes that were told, the one that the tests hold is shown. */
export function warmTable(results: readonly WarmResult[]): string {
  const rows = results.map((result) => {
    const { name, mode, failed, foreignBytes, longestMs, peakMiB, after, during } = result
    const expected = expectedOf(result)
    const told = (who: 'pull' | 'push' | 'fresh'): string => (result[who].includes(expected[who]) ? expected[who] : result[who].join(', '))
    const got = (who: 'pull' | 'push', version = ''): string => (version === '1.1.0 confirmed' ? served : told(who))
    const offer = told('fresh') === served ? 'offered' : told('fresh')
    return [
      name,
      mode,
      got('pull', during[0]),
      got('push', during[1]),
      offer,
      failed.length,
      foreignBytes,
      longestMs,
      peakMiB,
      after.join(', '),
    ]
  })
  const under = ['a registry does', 'server', 'pull under way', 'push under way', 'first check-in', 'updates failed']
  return table([...under, 'bytes to a device', 'longest wait, ms', 'memory, MiB', 'afterwards'], rows)
}

export function expectedOf({ name, mode }: Pick<WarmResult, 'name' | 'mode'>): WarmOutcome {
  return (warmAttacks.find((attack) => attack.name === name) as (typeof warmAttacks)[number])[mode]
}
