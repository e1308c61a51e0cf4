import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../scripts/gate/run-command.ts'
import { freePort } from '../free-port.ts'
import { type MeasuredProcess, startProcess } from '../measured-process.ts'

export const registryInstall = 'apt-get install docker-registry'

export async function hasDockerRegistry(): Promise<boolean> {
  const { code } = await runCommand(['docker-registry', '--version'])
  return code !== 127
}

/** Starts an OCI registry on loopback that keeps its content in `folder`. */
export async function startDockerRegistry(folder: string): Promise<{ readonly process: MeasuredProcess; readonly host: string }> {
  mkdirSync(folder, { recursive: true })
  const host = `127.0.0.1:${await freePort()}`
  const config = join(folder, 'config.yml')
  writeFileSync(config, `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${folder}/data\nhttp:\n  addr: ${host}\n`)
  const started = await startProcess(['docker-registry', 'serve', config], (text) => (text.includes('listening on') ? true : undefined))
  return { process: started.process, host }
}
