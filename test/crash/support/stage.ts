import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Releases, releasesIn } from './releases.ts'
import { type ServerFactory, serverFactory } from './server-process.ts'

/** A folder with releases, and servers to be started. */
export interface Stage {
  readonly folder: string
  readonly factory: ServerFactory
  readonly releases: Releases
  remove(): void
}

export async function stage(): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-crash-'))
  // Servers that give up root come here too.
  chmodSync(folder, 0o755)
  const [factory, releases] = await Promise.all([serverFactory(), releasesIn(folder)])
  return { folder, factory, releases, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
