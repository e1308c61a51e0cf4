import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { debianPeers, isInstalled } from '../scripts/gate/debian-packages.ts'
import { root } from '../scripts/workspaces.ts'

/** Says once, before the tests, what is missing on this machine and will be skipped. In CI the tests themselves fail instead. */
export default async function announceSkips(): Promise<void> {
  const vectors = resolve(root, process.env.REFLASH_VECTORS ?? '../shared/vectors')
  if (!existsSync(vectors)) console.warn(`SKIPPED: tests of real images and signatures: no folder ${vectors}; name it in REFLASH_VECTORS`)
  const missing: string[] = []
  for (const [name, command] of Object.entries(debianPeers)) if (!(await isInstalled(command))) missing.push(name)
  if (missing.length > 0) console.warn(`SKIPPED: tests against ${missing.join(', ')}; install with: apt-get install ${missing.join(' ')}`)
}
