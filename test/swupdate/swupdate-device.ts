import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SwupdateOptions {
  readonly server: string
  readonly id: string
  readonly token: string
  /** PEM; whose updates the device installs. */
  readonly certificate: string
  /** `board:revision`, as `-H` takes it. */
  readonly hardware: string
  /** Whether it tells the server its hardware. */
  readonly tells: boolean
}

/** Debian's swupdate as a device of its own: its files and its sockets. */
export interface SwupdateDevice extends AsyncDisposable {
  /** What it has logged in all its runs. */
  readonly log: string
  /** Runs it; `installed` after a restart into what it has installed, which it reports then. */
  start(installed?: boolean): void
  stop(): Promise<void>
}

export function swupdateDevice({ server, id, token, certificate, hardware, tells }: SwupdateOptions): SwupdateDevice {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-swu-'))
  const [key, config] = [join(folder, 'signer.pem'), join(folder, 'swupdate.cfg')]
  const sockets = join(folder, 'tmp')
  mkdirSync(sockets)
  writeFileSync(key, certificate)
  writeFileSync(
    config,
    `globals: { public-key-file = "${key}"; bootloader = "none"; };
suricatta: { tenant = "DEFAULT"; id = "${id}"; url = "${server}"; targettoken = "${token}"; polldelay = 1; retry = 20; retrywait = 1; };
identify: ( ${tells ? `{ name = "hardware"; value = "${hardware}"; }, ` : ''}{ name = "serial"; value = "${id}"; } );
`,
  )
  let log = ''
  let running: ChildProcess | undefined
  return {
    get log() {
      return log
    },
    start(installed = false) {
      const suricatta = installed ? '-c 2 -p 1' : '-p 1'
      const args = ['-v', '-l', '5', '-f', config, '-k', key, '-H', hardware, '-e', 'stable,copy1', '-u', suricatta]
      // A group of its own, because it works in several processes.
      const child = spawn('swupdate', args, { cwd: folder, env: { PATH: process.env.PATH, TMPDIR: sockets }, detached: true })
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString('latin1')))
      running = child
    },
    async stop() {
      if (running?.pid === undefined) return
      const ended = running.exitCode === null && running.signalCode === null ? once(running, 'exit') : undefined
      try {
        process.kill(-running.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
      await ended
      running = undefined
    },
    async [Symbol.asyncDispose]() {
      await this.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
    },
  }
}
