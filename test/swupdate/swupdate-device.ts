import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SwupdateOptions {
  readonly server: string
  readonly id: string
  readonly token: string
  /** The token is the gateway's, which many devices share; its own where absent. */
  readonly shared?: boolean
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
  /** The path of a file in the folder that it runs in. */
  at(name: string): string
  /** How a run ended that nobody has stopped: nothing is to be waited for any more. */
  readonly died: string | undefined
  /** Runs it; `installed` after a restart into what it has installed, which it reports then. */
  start(installed?: boolean): void
  stop(): Promise<void>
}

/**
 * Starts it as systemd starts a service, with SIGPIPE ignored (`IgnoreSIGPIPE=`, on unless a unit says otherwise). Without, swupdate before 2024.05 may
 * die while it installs: `process_notification_thread` (suricatta/server_hawkbit.c) asks the main process for its status and hangs up after
 * 100 ms; a main process that is slower than that, as on a busy machine, answers into the closed socket (`network_thread`, core/network_thread.c: a
 * `write` with SIGPIPE at its default) and takes all its processes along. No answer of a server has a part in it.
 */
const asService = ['-c', 'trap "" PIPE; exec swupdate "$@"', 'swupdate']

export function swupdateDevice({ server, id, token, shared = false, certificate, hardware, tells }: SwupdateOptions): SwupdateDevice {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-swu-'))
  const [key, config] = [join(folder, 'signer.pem'), join(folder, 'swupdate.cfg')]
  const sockets = join(folder, 'tmp')
  mkdirSync(sockets)
  writeFileSync(join(folder, 'partition.img'), '')
  writeFileSync(key, certificate)
  writeFileSync(
    config,
    `globals: { public-key-file = "${key}"; bootloader = "none"; };
suricatta: { tenant = "DEFAULT"; id = "${id}"; url = "${server}"; ${shared ? 'gatewaytoken' : 'targettoken'} = "${token}"; polldelay = 1; retry = 20; retrywait = 1; };
identify: ( ${tells ? `{ name = "hardware"; value = "${hardware}"; }, ` : ''}{ name = "serial"; value = "${id}"; } );
`,
  )
  let log = ''
  let running: ChildProcess | undefined
  let died: string | undefined
  return {
    get log() {
      return log
    },
    at: (name) => join(folder, name),
    get died() {
      return died
    },
    start(installed = false) {
      const suricatta = installed ? '-c 2 -p 1' : '-p 1'
      const args = ['-v', '-l', '5', '-f', config, '-k', key, '-H', hardware, '-e', 'stable,copy1', '-u', suricatta]
      // A group of its own, because it works in several processes.
      const child = spawn('sh', [...asService, ...args], { cwd: folder, env: { PATH: process.env.PATH, TMPDIR: sockets }, detached: true })
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString('latin1')))
      child.on('exit', (code, signal) => {
        if (running === child) died = `swupdate has ended with ${code ?? signal}`
      })
      running = child
    },
    async stop() {
      const child = running
      running = undefined
      if (child?.pid === undefined) return
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
      await ended
    },
    async [Symbol.asyncDispose]() {
      await this.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
    },
  }
}
