import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { runCommandLine } from '../../src/command-line.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

export interface Ran {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<Ran>
  /** Resolves with the text so far once stdout or stderr holds `pattern`; rejects where the process ends before. */
  seen(pattern: RegExp): Promise<string>
}

/** Starts the real command from its source; a test that ends kills it. */
export function startReflash(args: readonly string[], { cwd, env = {}, stdin }: RunOptions = {}): Started {
  const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, ['--conditions=@reflash/source', main, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...given({ PATH, HOME, TMPDIR, NODE_COMPILE_CACHE }), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  const watchers = new Set<() => void>()
  const more = () => {
    for (const watcher of watchers) watcher()
  }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    more()
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
    more()
  })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin ?? '')
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }))
  })
  const seen = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const text = stderr + stdout
        if (!pattern.test(text)) return
        watchers.delete(look)
        resolve(text)
      }
      watchers.add(look)
      void ended.then(
        (ran) => reject(new Error(`ended with ${ran.exitCode ?? ran.signal} before ${pattern} was seen:\n${stderr}${stdout}`)),
        reject,
      )
      look()
    })
  return { child, ended, seen }
}

/** What is set, alone: nothing of a developer's own environment shall decide a test. */
function given(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** Runs the real command from its source to its end. */
export function runReflash(args: readonly string[], options?: RunOptions): Promise<Ran> {
  return startReflash(args, options).ended
}

/** Runs a command line in this process: for the many cases where only what is said matters, and a process of its own would only be slow. */
export async function sayReflash(args: readonly string[], { env = {}, stdin = '' }: RunOptions = {}): Promise<Ran> {
  const texts = { stdout: '', stderr: '' }
  const sink = (name: keyof typeof texts) => ({
    write: (text: string) => {
      texts[name] += text
    },
  })
  const exitCode = await runCommandLine({
    argv: ['node', 'reflash', ...args],
    env,
    stdin: new PassThrough().end(stdin),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    pid: 0,
    on: () => {},
    off: () => {},
    kill: () => {},
  })
  return { exitCode, signal: null, ...texts }
}

/** A folder of its own that goes with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
