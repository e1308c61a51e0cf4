import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Debian keeps it in sbin, which is not on everybody's path. */
export const mosquittoPath = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/usr/bin/mosquitto'].find(existsSync)
export const subscriberPath = ['/usr/bin/mosquitto_sub', '/usr/local/bin/mosquitto_sub'].find(existsSync)

export interface Mosquitto extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** kill -9, in the middle of whatever it does. */
  kill(): Promise<void>
  /** Again, on the same port, with nothing remembered. */
  start(): Promise<void>
}

export interface MosquittoOptions {
  /** Lines of its access list; with them everybody needs a user name (any password). */
  readonly acl?: readonly string[]
  readonly users?: Readonly<Record<string, string>>
  /** More lines of its configuration. */
  readonly config?: readonly string[]
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Starts Mosquitto with a folder of its own. */
export async function startMosquitto({ acl, users, config = [] }: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-mosquitto-'))
  const port = await freePort()
  const lines = [
    `listener ${port} 127.0.0.1`,
    'persistence false',
    'set_tcp_nodelay true',
    'max_queued_messages 0',
    'log_type error',
    'log_dest none',
    ...(process.getuid?.() === 0 ? ['user root'] : []),
    ...config,
  ]
  if (users === undefined) lines.push('allow_anonymous true')
  else {
    const file = join(folder, 'passwords')
    await writeFile(
      file,
      Object.entries(users)
        .map(([name, password]) => `${name}:${password}\n`)
        .join(''),
      { mode: 0o600 },
    )
    await chmod(file, 0o600)
    const hashing = spawn('mosquitto_passwd', ['-U', file], { stdio: 'ignore' })
    await once(hashing, 'exit')
    lines.push('allow_anonymous false', `password_file ${file}`)
  }
  if (acl !== undefined) {
    const file = join(folder, 'acl')
    await writeFile(file, `${acl.join('\n')}\n`, { mode: 0o600 })
    lines.push(`acl_file ${file}`)
  }
  const conf = join(folder, 'mosquitto.conf')
  await writeFile(conf, `${lines.join('\n')}\n`)
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    child = spawn(mosquittoPath ?? 'mosquitto', ['-c', conf], { stdio: ['ignore', 'ignore', 'inherit'] })
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await answers(port)) return
      await pause(10)
    }
    throw new Error('mosquitto does not listen')
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child
    child = undefined
    if (ending === undefined || ending.exitCode !== null) return
    const exited = once(ending, 'exit')
    ending.kill(signal)
    await exited
  }

  await start()
  return {
    url: `mqtt://127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid ?? 0
    },
    kill: () => end('SIGKILL'),
    start,
    async [Symbol.asyncDispose]() {
      await end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
