import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Words that start this program again. */
export const ownCommand: readonly string[] = [process.execPath, ...process.execArgv, process.argv[1] as string]

/** A line that the device says on stderr. */
export interface DeviceLine {
  readonly event: string
  readonly [fact: string]: unknown
}

export interface DemoDevice extends AsyncDisposable {
  readonly pid: number
  /** Resolves if the process ends, with what it said last: a device of the demo runs until it is told to stop. */
  readonly ended: Promise<string>
}

/** Starts `reflash device` as a process of its own; it talks to the server over HTTP alone. */
export function demoDevice(args: readonly string[], onLine: (line: DeviceLine) => void): DemoDevice {
  const [program, ...before] = ownCommand as readonly [string, ...string[]]
  const child = spawn(program, [...before, 'device', ...args, '--json'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let last = ''
  createInterface({ input: child.stderr }).on('line', (text) => {
    const line = parse(text)
    if (line === undefined) last = text
    else onLine(line)
  })
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(`the device ended with ${code ?? signal}: ${last}`))
  })
  ended.catch(() => {})
  return {
    pid: child.pid ?? 0,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended.catch(() => {})
    },
  }
}

function parse(text: string): DeviceLine | undefined {
  try {
    return JSON.parse(text) as DeviceLine
  } catch {
    return undefined
  }
}
