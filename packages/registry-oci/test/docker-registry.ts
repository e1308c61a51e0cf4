import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const installLine =
  'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends docker-registry apache2-utils skopeo openssl'

/** Whether these programs are here. Where one is missing it says so loudly; in CI that is a failure. */
export function peersAreHere(...programs: readonly string[]): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const missing = programs.filter((program) => !folders.some((folder) => existsSync(join(folder, program))))
  if (missing.length === 0) return true
  const message = `SKIPPED: expected ${missing.join(', ')}, found none in PATH; install with: ${installLine}`
  if (process.env.CI) throw new Error(message)
  console.warn(message)
  return false
}

export interface DockerRegistryOptions {
  /** User names and their passwords, for Basic authentication. */
  readonly users?: Readonly<Record<string, string>>
  /** PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientCa?: string }
  /** Bearer authentication: where tokens come from, and the PEM file of the certificate that signs them. */
  readonly token?: { readonly realm: string; readonly service: string; readonly issuer: string; readonly rootCertificate: string }
}

export interface DockerRegistry {
  /** `127.0.0.1:<port>`, the beginning of a reference. */
  readonly host: string
  readonly process: ChildProcess
  stop(): Promise<void>
}

/**
 * Starts Debian's docker-registry on a free port of loopback, with its data in a folder of its own; `stop` ends it by its process id and
 * removes the folder. Who starts it stops it.
 */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'docker-registry-'))
  const port = await freePort()
  const config = join(folder, 'config.yml')
  writeFileSync(config, configOf(options, folder, port))
  const child = spawn('docker-registry', ['serve', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  })
  let said = ''
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-4000)
  })
  const ended = new Promise<void>((resolve) => {
    child.on('exit', () => resolve())
    child.on('error', () => resolve())
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await untilListening(child, () => said)
  } catch (error) {
    await stop()
    throw error
  }
  return { host: `127.0.0.1:${port}`, process: child, stop }
}

/** Waits for its own line "listening on": no port is probed, so that nothing else can answer for it. */
function untilListening(child: ChildProcess, said: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`docker-registry did not start within 20 s: ${said()}`)), 20_000)
    child.stderr?.on('data', () => {
      if (!said().includes('listening on')) return
      clearTimeout(late)
      resolve()
    })
    child.on('exit', (code) => {
      clearTimeout(late)
      reject(new Error(`docker-registry ended with ${code}: ${said()}`))
    })
    child.on('error', reject)
  })
}

// JSON is YAML.
function configOf({ users, tls, token }: DockerRegistryOptions, folder: string, port: number): string {
  return JSON.stringify({
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(tls === undefined
        ? {}
        : { tls: { certificate: tls.certificate, key: tls.key, ...(tls.clientCa === undefined ? {} : { clientcas: [tls.clientCa] }) } }),
    },
    ...authOf(users, token, folder),
  })
}

function authOf(users: DockerRegistryOptions['users'], token: DockerRegistryOptions['token'], folder: string) {
  if (token !== undefined) {
    return { auth: { token: { realm: token.realm, service: token.service, issuer: token.issuer, rootcertbundle: token.rootCertificate } } }
  }
  if (users === undefined) return {}
  const lines = Object.entries(users).map(([name, password]) =>
    execFileSync('htpasswd', ['-Bbn', '-C', '5', name, password], { encoding: 'utf8' }).trim(),
  )
  const path = join(folder, 'htpasswd')
  writeFileSync(path, `${lines.join('\n')}\n`)
  return { auth: { htpasswd: { realm: 'registry', path } } }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
