import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isOtaError, type PushResult } from '@reflash/core'
import { build, type Plugin } from 'esbuild'
import { root } from '../../../scripts/workspaces.ts'
import type { Answered, Command, Failure, Said, Setup } from './messages.ts'

/** What a device does when a server talks to it over its line. */
export type DeviceLine = (method: string, args: readonly unknown[]) => unknown

/** The end of a server process before it answered. */
export class ServerDied extends Error {}

/** A server in a process of its own. */
export interface ServerProcess {
  readonly pid: number
  readonly isAlive: boolean
  /** Resolves when the process is gone, and all that it said has been heard. */
  readonly gone: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** What it complained of. */
  stderr(): string
  /** @throws `ServerDied`, or the failure that the server tells */
  ask(command: Command): Promise<Extract<Said, { is: 'done' }>>
  open(setup: Setup): Promise<string | undefined>
  push(device: { readonly id: string; readonly model: string }, line: DeviceLine): Promise<PushResult>
  kill(signal?: NodeJS.Signals): void
}

/** Starts servers from one bundle of the sources: reading two hundred files costs more than all that a server does here. */
export interface ServerFactory {
  /** `wrapped`: a command that runs node, and is given it and its arguments. */
  start(wrapped?: readonly string[]): Promise<ServerProcess>
}

/** Clients of what is not here, a registry over HTTP and PostgreSQL: half of the time that a server needs to start is theirs. */
const withoutClients: Plugin = {
  name: 'without-clients',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(undici|pg)$/ }, ({ path }) => ({ path, namespace: 'absent' }))
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({
      contents: 'export class Agent {}; export class Pool {}; export default { Pool }',
    }))
  },
}

export async function serverFactory(): Promise<ServerFactory> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [fileURLToPath(new URL('../child/server.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@reflash/source'],
    write: false,
    minifyWhitespace: true,
    plugins: [withoutClients],
    logLevel: 'error',
    // For what CommonJS packages require by name.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  })
  const [{ contents, hash } = { contents: new Uint8Array(), hash: '' }] = outputFiles
  // The same path for the same content: so node compiles it once and for all (NODE_COMPILE_CACHE), and files that run at once do not disturb
  // each other.
  const folder = join(root, 'node_modules/.cache/reflash-crash')
  const script = join(folder, `server-${hash.replace(/[^A-Za-z0-9]/g, '_')}.mjs`)
  if (!existsSync(script)) {
    mkdirSync(folder, { recursive: true })
    for (const old of readdirSync(folder)) if (ageMs(join(folder, old)) > keptMs) rmSync(join(folder, old), { force: true })
    const temporary = `${script}.${process.pid}`
    writeFileSync(temporary, contents)
    renameSync(temporary, script)
  }
  return { start: (wrapped) => started(script, wrapped) }
}

/** Bundles of sources that have changed since are of no use to anybody. */
const keptMs = 86_400_000

function ageMs(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

async function started(script: string, wrapped: readonly string[] = []): Promise<ServerProcess> {
  const [command = process.execPath, ...before] = [...wrapped, process.execPath]
  const child = fork(script, [], {
    serialization: 'advanced',
    execPath: command,
    execArgv: wrapped.length === 0 ? [] : before,
    silent: true,
  })
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const gone = ended(child)
  let line: DeviceLine | undefined
  let waiting: { resolve(said: Extract<Said, { is: 'done' }>): void; reject(error: Error): void } | undefined
  let ready: (() => void) | undefined
  const isReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  child.on('message', (said: Said) => {
    if (said.is === 'ready') ready?.()
    else if (said.is === 'done') {
      const asked = waiting
      waiting = undefined
      if (said.failure === undefined) asked?.resolve(said)
      else asked?.reject(Object.assign(new Error(`${said.failure.code}: ${said.failure.message}`), said.failure))
    } else void answer(child, said, line)
  })
  child.on('error', () => {})
  void gone.then(() => waiting?.reject(new ServerDied(`the server died${complaints === '' ? '' : `: ${complaints}`}`)))

  function ask(command: Command): Promise<Extract<Said, { is: 'done' }>> {
    return new Promise((resolve, reject) => {
      if (!child.connected) return reject(new ServerDied('the server is dead'))
      waiting = { resolve, reject }
      child.send(command, () => {})
    })
  }

  const died = gone.then(() => {
    throw new Error(`a server process ended before it was ready: ${complaints}`)
  })
  died.catch(() => {})
  await Promise.race([isReady, died])
  return {
    pid: child.pid as number,
    get isAlive() {
      return child.exitCode === null && child.signalCode === null && child.connected
    },
    gone,
    stderr: () => complaints,
    ask,
    open: async (setup) => (await ask({ do: 'open', setup })).url,
    async push(device, withLine) {
      line = withLine
      return (await ask({ do: 'push', device })).result as PushResult
    },
    kill: (signal = 'SIGKILL') => void child.kill(signal),
  }
}

async function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  // What it said last may be heard after its end.
  const [[code, signal]] = await Promise.all([once(child, 'close'), child.connected ? once(child, 'disconnect') : undefined])
  return { code: code as number | null, signal: signal as NodeJS.Signals | null }
}

/** A device hears what is said in the order in which it is said. */
const turns = new WeakMap<ChildProcess, Promise<void>>()

function answer(child: ChildProcess, { n, method, args }: Extract<Said, { is: 'call' }>, line: DeviceLine | undefined): Promise<void> {
  const turn = (turns.get(child) ?? Promise.resolve()).then(async () => {
    let said: Answered
    try {
      said = { is: 'answer', n, value: await line?.(method, args) }
    } catch (error) {
      said = { is: 'answer', n, failure: failureOf(error) }
    }
    // Nobody may be there to hear it.
    if (child.connected) child.send(said, () => {})
  })
  turns.set(child, turn)
  return turn
}

function failureOf(error: unknown): Failure {
  if (!isOtaError(error)) throw error
  return { code: error.code, fault: error.fault, message: error.message, because: error.because }
}
