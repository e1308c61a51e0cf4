import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A PostgreSQL of its own, with nothing in it. */
export interface PostgresServer {
  readonly url: string
  /** Ends it at once, as a power cut of its machine would; `start` brings it back. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

const clusters = '/usr/lib/postgresql'
/** PostgreSQL does not run as root: "nobody" has no rights that a test could miss. */
const nobody = 65_534

function binaries(): string | undefined {
  if (!existsSync(clusters)) return undefined
  const versions = readdirSync(clusters).sort((a, b) => Number(b) - Number(a))
  return versions.map((version) => join(clusters, version, 'bin')).find((folder) => existsSync(join(folder, 'initdb')))
}

/** Whether tests against PostgreSQL can run; in CI they must. */
export function hasPostgres(): boolean {
  const found = binaries() !== undefined
  if (!found && process.env.CI !== undefined) throw new Error('PostgreSQL is missing: apt-get install postgresql')
  if (!found) console.warn('SKIPPED: tests against PostgreSQL; install with: apt-get install postgresql')
  return found
}

/** Starts PostgreSQL in a temporary folder, on a free port of this machine, trusting everybody, without waiting for disks. */
export async function startPostgres(): Promise<PostgresServer> {
  const bin = binaries() as string
  const folder = mkdtempSync(join(tmpdir(), 'reflash-postgres-'))
  const data = join(folder, 'data')
  mkdirSync(data, { mode: 0o700 })
  const who = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
  if ('uid' in who) for (const path of [folder, data]) chownSync(path, nobody, nobody)
  const setUp = ['-D', data, '-U', 'ota', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C']
  await promisify(execFile)(join(bin, 'initdb'), setUp, { ...who, cwd: folder })
  const port = await freePort()
  let server: ChildProcess | undefined

  async function start(): Promise<void> {
    const settings = ['listen_addresses=127.0.0.1', `port=${port}`, 'fsync=off', 'unix_socket_directories=', 'max_connections=200']
    server = spawn(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
      ...who,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const child = server
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk
        if (said.includes('ready to accept connections')) resolve()
      })
      child.once('exit', () => reject(new Error(`postgres ended before it was ready:\n${said}`)))
      child.once('error', reject)
    })
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill(signal)
    await ended
  }

  await start()
  return {
    url: `postgres://ota@127.0.0.1:${port}/postgres`,
    start,
    // Immediate: no farewell to anybody, and its own helpers end too.
    kill: () => end('SIGQUIT'),
    async stop() {
      await end('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}
