import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Whether Debian's socat is missing, which makes pseudo-terminals; in the gate that is a failure. */
export function withoutSocat(): boolean {
  const isMissing = spawnSync('socat', ['-V']).error !== undefined
  if (!isMissing) return false
  if (process.env.CI === 'true') throw new Error('expected socat, found none: apt-get install socat')
  console.warn('skipped: no socat, which makes pseudo-terminals: apt-get install socat')
  return true
}

/** A pseudo-terminal whose other end is a socket. It has neither DTR nor RTS. */
export async function ptyTo(address: string): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-pty-'))
  const path = join(folder, 'tty')
  const { host } = new URL(address.replace('socket:', 'http:'))
  const child = spawn('socat', ['-d', '-d', `pty,raw,echo=0,link=${path}`, `tcp:${host},nodelay`], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (text: Buffer) => {
      said += String(text)
      if (said.includes('starting data transfer loop')) resolve()
    })
    child.once('close', () => reject(new Error(`socat: ${said}`)))
  })
  return {
    path,
    async [Symbol.asyncDispose]() {
      child.kill()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}
