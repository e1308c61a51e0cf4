import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attackedRegistry } from '../attacked-registry.ts'
import { lampReleases } from '../lamp-releases.ts'
import { registryAttacks } from '../registry-attacks.ts'
import { runRegistryAttack } from '../run-registry-attack.ts'

// Runs every attack, or the one that is named, in a process whose memory nobody else uses, and prints what came of each as a line of JSON.

const folder = await mkdtemp(join(tmpdir(), 'reflash-hostile-'))
try {
  const releases = await lampReleases(folder)
  await using registry = await attackedRegistry(releases)
  const chosen = process.argv[2]
  for (const attack of registryAttacks) {
    if (chosen !== undefined && attack.name !== chosen) continue
    const result = await runRegistryAttack(attack, registry, releases)
    process.stdout.write(`${JSON.stringify(result)}\n`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
