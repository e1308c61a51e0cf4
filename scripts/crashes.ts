import { crashAtRandom, crashSeed } from '../test/crash/support/crash-at-random.ts'
import { everyFault, type FaultTable } from '../test/crash/support/every-fault.ts'
import { pullScenes, pushScenes } from '../test/crash/support/scenes.ts'
import { stage } from '../test/crash/support/stage.ts'

// Kills a server between every two journal writes of every kind of update, at every file operation of its cache, and at random moments under
// 50 devices; prints what came of it.

const { folder, factory, releases, remove } = await stage()
const problems: string[] = []
const table = (head: readonly string[], rows: readonly (readonly unknown[])[]): void => {
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`)
  console.log()
}

try {
  const rows: FaultTable[] = []
  const pulls = pullScenes(releases)
  for (const scene of [...pulls, ...pushScenes(releases)]) rows.push(await everyFault(scene, factory, folder))
  const [first] = pulls
  if (first !== undefined) rows.push(await everyFault(first, factory, folder, { of: 'cache', path: 'pull: native, files of the cache' }))
  table(
    ['path', 'fault points', 'runs', 'confirmed', 'failed with reason', 'stuck', 'falsely confirmed', 'reports lost'],
    rows.map((row) => [row.path, row.kills, row.runs, row.confirmed, row.failed, row.stuck, row.falselyConfirmed, row.reportsLost]),
  )
  problems.push(...rows.flatMap((row) => row.problems))

  const seed = crashSeed()
  const fleets = []
  for (const attestation of ['none', 'proven'] as const) {
    fleets.push({ attestation, ...(await crashAtRandom({ factory, folder, attestation, devices: 50, kills: 20, seed })) })
  }
  table(
    [
      'evidence',
      'devices',
      'kills',
      'updates',
      'confirmed',
      'failed',
      'unobserved',
      'superseded',
      'reports',
      'stuck',
      'falsely confirmed',
      'reports lost',
    ],
    fleets.map((one) => [
      one.attestation,
      one.devices,
      one.kills,
      one.updates,
      one.confirmed,
      one.failed,
      one.unobserved,
      one.superseded,
      one.reports,
      one.stuck,
      one.falselyConfirmed,
      one.reportsLost,
    ]),
  )
  console.log(`seed ${seed}; REFLASH_SEED=${seed} draws the same moments again`)
  problems.push(...fleets.flatMap((one) => one.problems))
} finally {
  remove()
}
for (const problem of problems.slice(0, 20)) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)
