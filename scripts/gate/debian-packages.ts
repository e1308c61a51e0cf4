import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { runCommand } from './run-command.ts'
import { type Count, failed, passed } from './steps.ts'

/** Debian's packages that tests and benchmarks drive as peers, each by a command that shows that it is there. */
export const debianPeers: Readonly<Record<string, string>> = {
  'docker-registry': 'docker-registry',
  'apache2-utils': 'htpasswd',
  skopeo: 'skopeo',
  openssl: 'openssl',
  postgresql: 'pg_ctlcluster',
  'nginx-light': 'nginx',
  mosquitto: 'mosquitto',
  'mosquitto-clients': 'mosquitto_sub',
  socat: 'socat',
  swupdate: 'swupdate',
}

/** Whether a command is there. */
export async function isInstalled(command: string): Promise<boolean> {
  // Debian keeps daemons in sbin, which is not on everybody's path.
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    try {
      await access(join(folder, command))
      return true
    } catch {
      // the next folder may have it
    }
  }
  return false
}

/** Installs whichever peers are missing, with the machine's apt. */
export async function installDebianPeers(peers = debianPeers): Promise<Count> {
  const missing: string[] = []
  for (const [name, command] of Object.entries(peers)) if (!(await isInstalled(command))) missing.push(name)
  if (missing.length === 0) return passed()
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const update = await runCommand([...sudo, 'apt-get', 'update', '-q'], { env })
  const install = await runCommand([...sudo, 'apt-get', 'install', '-y', '-q', '--no-install-recommends', ...missing], { env })
  return install.code === 0 ? passed() : failed(`apt-get could not install ${missing.join(' ')}\n${update.output}\n${install.output}`)
}
