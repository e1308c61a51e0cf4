import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { sqlStore } from '@reflash/store-sql'
import { expect, onTestFinished } from 'vitest'

/** Node with the sources of the workspace. */
export const node = [process.execPath, '--conditions=@reflash/source']
export const script = (name: string) => fileURLToPath(new URL(`child/${name}.ts`, import.meta.url))

function start(command: readonly string[]): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Runs a child to its end, holds that it complains of nothing, and returns what it printed. */
export async function run(command: readonly string[]): Promise<string> {
  const child = start(command)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr!), once(child, 'close')])
  expect(err).toBe('')
  return out.trim()
}

/** The numbers that a killed writer has left in a journal. */
export async function numbersIn(file: string): Promise<number[]> {
  const journal = sqlStore({ file })
  const found = await Array.fromAsync(journal.list('n/'), (key) => Number(key.slice(2)))
  await journal.close?.()
  return found
}

/** Lets a writer run until it has acknowledged `least` puts, kills it without warning, and returns what it had acknowledged. */
export async function killedWriter(file: string, least: number): Promise<number[]> {
  const writer = start([...node, script('write-until-killed'), file])
  let printed = ''
  for await (const chunk of writer.stdout) {
    printed += chunk
    if (printed.split('\n').length > least) writer.kill('SIGKILL')
  }
  return printed.split('\n').slice(0, -1).map(Number)
}
