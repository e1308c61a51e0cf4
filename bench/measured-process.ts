import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

// Linux counts CPU time in ticks of 10 ms (USER_HZ), whatever the kernel's own.
const ticksPerSecond = 100

export interface MeasuredProcess {
  readonly pid: number
  /** CPU seconds so far, of the process and of its children now. */
  cpuSeconds(): number
  /** Resident bytes now, of the process and of its children. */
  residentBytes(): number
  stop(): Promise<void>
}

function pidsOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(pidsOf)]
}

function cpuSecondsOf(pid: number): number {
  // The name in parentheses may hold spaces: count the fields behind it. utime and stime are fields 14 and 15 of proc(5).
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

function residentBytesOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** Starts a server in a process of its own and waits until `ready` finds what it looks for in what the server prints. */
export async function startProcess<T>(
  command: readonly string[],
  ready: (printed: string) => T | undefined,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly process: MeasuredProcess; readonly ready: T }> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const stopAtExit = () => child.kill('SIGKILL')
  process.once('exit', stopAtExit)
  const found = await readiness(child, command, ready)
  const { pid } = child
  if (pid === undefined) throw new Error(`${command[0]} did not start`)
  const total = (of: (pid: number) => number) => pidsOf(pid).reduce((sum, each) => sum + of(each), 0)
  return {
    ready: found,
    process: {
      pid,
      cpuSeconds: () => total(cpuSecondsOf),
      residentBytes: () => total(residentBytesOf),
      async stop() {
        process.off('exit', stopAtExit)
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        const patience = setTimeout(() => child.kill('SIGKILL'), 5000)
        await ended
        clearTimeout(patience)
      },
    },
  }
}

function readiness<T>(child: ChildProcess, command: readonly string[], ready: (printed: string) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    let printed = ''
    const look = (chunk: Buffer) => {
      printed += chunk
      const found = ready(printed)
      if (found === undefined) return
      // What is printed later is read and dropped, so that the pipe never fills.
      for (const stream of [child.stdout, child.stderr]) stream?.off('data', look).resume()
      resolve(found)
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code} before it was ready:\n${printed}`)))
  })
}
