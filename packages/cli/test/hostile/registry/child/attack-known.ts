import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attackedRegistry } from '../attacked-registry.ts'
import { lampReleases } from '../lamp-releases.ts'
import { runWarmAttack } from '../run-warm-attack.ts'
import { warmAttacks } from '../warm-attacks.ts'

// Runs every attack on a system that knows its releases, `running` or `restarted`, and prints what came of each as a line of JSON.

const folder = await mkdtemp(join(tmpdir(), 'reflash-hostile-'))
try {
  const releases = await lampReleases(folder)
  await using registry = await attackedRegistry(releases)
  const mode = process.argv[2] === 'restarted' ? 'restarted' : 'running'
  for (const attack of warmAttacks) process.stdout.write(`${JSON.stringify(await runWarmAttack(attack, mode, registry, releases))}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
