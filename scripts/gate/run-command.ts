import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Show the output as it comes, too. */
  readonly live?: boolean
}

export interface CommandResult {
  readonly code: number
  /** Standard output and standard error in the order they came. */
  readonly output: string
  readonly stdout: string
}

/** Runs a command to its end, without standard input. */
export function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    let output = ''
    let stdout = ''
    const child = spawn(command[0]!, command.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
      stdout += chunk
      if (options.live) process.stdout.write(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk
      if (options.live) process.stderr.write(chunk)
    })
    child.on('error', (error) => resolve({ code: 127, output: `${output}${error.message}\n`, stdout }))
    child.on('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), output, stdout }))
  })
}
