import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type NativeClient, nativeClient } from '@reflash/transport-http/client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { impatient } from './support/esp32-device.ts'
import { pullingBoard } from './support/memory-board.ts'
import type { Setup } from './support/messages.ts'
import type { StoredDevice } from './support/record.ts'
import type { ServerProcess } from './support/server-process.ts'
import { type Stage, stage } from './support/stage.ts'
import { wrongEnd } from './support/witness.ts'

const run = promisify(execFile)

let at: Stage
beforeAll(async () => {
  at = await stage()
})
afterAll(() => at?.remove())

const setupIn = (name: string): Setup => {
  const folder = join(at.folder, name)
  mkdirSync(folder, { recursive: true })
  return { folder, ...at.releases.memory, target: 'memory', attestation: 'none', listens: true }
}

async function started(setup: Setup, wrapped?: readonly string[]): Promise<{ server: ServerProcess; url: string }> {
  const server = await at.factory.start(wrapped)
  onTestFinished(() => server.kill())
  return { server, url: (await server.open(setup)) as string }
}

function clientOf(url: string, deviceId = 'unit-1'): NativeClient {
  const client = nativeClient({ server: url, deviceId, limits: impatient })
  onTestFinished(client.close)
  return client
}

const old = { model: 'board', installed: { version: '1.0.0', state: 'confirmed' } } as const

/** What a server says that cannot store: later again, and why. */
const refusal = (code: string) =>
  expect.objectContaining({ fault: 'unavailable', details: expect.objectContaining({ status: 503, remoteCode: code }) })

const recordOf = async (server: ServerProcess, deviceId = 'unit-1'): Promise<StoredDevice | undefined> =>
  (await server.ask({ do: 'record', deviceId })).record as unknown as StoredDevice | undefined

const health = async (url: string): Promise<unknown> => (await fetch(`${url}/health`)).json()

/** A board goes its whole way, now that there is room. */
async function expectUpdate(server: ServerProcess, url: string, id = 'unit-2'): Promise<void> {
  const board = pullingBoard(id)
  await board.visit(url)
  board.close()
  const stored = await recordOf(server, id)
  expect(wrongEnd(board, stored)).toEqual([])
  expect(stored?.history[0]?.outcome).toBe('confirmed')
}

/** Whether this machine lets us mount a disk of our own, in a name space of our own. */
function mayMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('SKIPPED: tests on a disk of their own: this machine does not let unprivileged users mount one (unshare -rm)')
    return false
  }
}

/** Runs node with a disk of so many bytes at `folder`. */
const onDisk = (folder: string, sizeBytes: number): readonly string[] => [
  ...['unshare', '-rm', 'sh', '-c', `mount -t tmpfs -o size=${sizeBytes} none "$0" && exec "$@"`, folder],
]

/** Does something where only the server can see it. */
const inside = (server: ServerProcess, ...command: readonly string[]) =>
  run('nsenter', ['-t', String(server.pid), '-U', '-m', '--preserve-credentials', ...command])

describe.runIf(process.platform === 'linux')('a server whose files may not grow', () => {
  it('says that its journal is unavailable, keeps what it has accepted, and goes on when it may again', async () => {
    const { server, url } = await started(setupIn('limited'))
    const client = clientOf(url)
    const { offer } = await client.checkIn(old)
    await client.report(1, { state: 'downloading', received: 0 })
    const journal = statSync(join(at.folder, 'limited', 'journal.db-wal')).size
    await run('prlimit', ['--pid', String(server.pid), `--fsize=${journal}:`])
    await expect(client.report(1, { state: 'downloaded' })).rejects.toEqual(refusal('JOURNAL_UNAVAILABLE'))
    expect(await recordOf(server)).toMatchObject({ open: { seq: offer?.seq, stage: 'plan', told: { state: 'downloading' } } })
    await run('prlimit', ['--pid', String(server.pid), '--fsize=unlimited:'])
    await client.report(1, { state: 'downloaded' })
    expect(await recordOf(server)).toMatchObject({ open: { stage: 'deliver' } })
    await expectUpdate(server, url)
  })
})

describe.runIf(process.platform === 'linux' && mayMount())('a server on a full disk', () => {
  it('says that its journal is unavailable, keeps what it has accepted, and goes on when there is room', async () => {
    const setup = setupIn('full')
    const { server, url } = await started(setup, onDisk(setup.folder, 512 * 1024))
    const client = clientOf(url)
    await client.checkIn(old)
    await client.report(1, { state: 'downloading', received: 0 })
    await inside(server, 'sh', '-c', `cat /dev/zero > ${setup.folder}/filler || true`)
    // What fits into the last page still does.
    const states = ['downloaded', 'installing', 'installed', 'confirmed'] as const
    let refused: unknown
    let accepted: string = 'downloading'
    for (const state of states) {
      try {
        await client.report(1, { state })
        accepted = state
      } catch (error) {
        refused = error
        break
      }
    }
    expect(refused).toEqual(refusal('JOURNAL_UNAVAILABLE'))
    expect(await recordOf(server)).toMatchObject({ open: { told: { state: accepted } } })
    await expect(client.checkIn({ ...old, installed: { ...old.installed, version: '1.1.0' } })).rejects.toEqual(
      refusal('JOURNAL_UNAVAILABLE'),
    )
    await inside(server, 'rm', `${setup.folder}/filler`)
    await client.report(1, { state: 'confirmed' })
    expect(await recordOf(server)).toMatchObject({ history: [{ seq: 1, outcome: 'confirmed' }] })
    await expectUpdate(server, url)
  })

  it('says that its cache is unavailable, offers nothing that it does not hold whole, and goes on when there is room', async () => {
    const setup = setupIn('full-cache')
    mkdirSync(join(setup.folder, 'cache'))
    const { server, url } = await started(setup, onDisk(join(setup.folder, 'cache'), 16 * 1024))
    await inside(server, 'sh', '-c', `cat /dev/zero > ${setup.folder}/cache/lost+found || true`)
    const board = pullingBoard('unit-1')
    const { offer, because } = await clientOf(url).checkIn(old)
    expect(offer).toBeUndefined()
    // Why, in the words of the file system, is the server's own affair.
    expect(because).toEqual([{ code: 'CACHE_UNAVAILABLE', message: '' }])
    await expect(health(url)).resolves.toMatchObject({
      status: 'degraded',
      parts: { cache: { status: 'down' }, journal: { status: 'ok' } },
    })
    expect((await recordOf(server))?.open).toBeUndefined()
    await inside(server, 'mount', '-o', 'remount,size=4m', join(setup.folder, 'cache'))
    await inside(server, 'rm', `${setup.folder}/cache/lost+found`)
    await server.ask({ do: 'clock', offsetMs: 60_000 })
    await board.visit(url)
    board.close()
    expect(wrongEnd(board, await recordOf(server))).toEqual([])
    await expectUpdate(server, url)
  })
})

describe.runIf(process.platform === 'linux')('a server that may not write', () => {
  const nobody = 65_534
  const own = (path: string, mode: number): void => {
    if (process.geteuid?.() === 0) chownSync(path, nobody, nobody)
    chmodSync(path, mode)
  }

  it('says that its journal is unavailable, and goes on when it may', async () => {
    const setup = { ...setupIn('read-only'), asNobody: true }
    own(setup.folder, 0o555)
    const { server, url } = await started(setup)
    const board = pullingBoard('unit-1')
    await expect(board.visit(url)).rejects.toEqual(refusal('JOURNAL_UNAVAILABLE'))
    own(setup.folder, 0o755)
    await board.visit(url)
    board.close()
    expect(wrongEnd(board, await recordOf(server))).toEqual([])
  })

  it('says that its cache is unavailable, and goes on when it may', async () => {
    const setup = { ...setupIn('read-only-cache'), asNobody: true }
    const cache = join(setup.folder, 'cache')
    mkdirSync(cache)
    own(setup.folder, 0o755)
    own(cache, 0o555)
    const { server, url } = await started(setup)
    const board = pullingBoard('unit-1')
    const { offer, because } = await clientOf(url).checkIn(old)
    expect(offer).toBeUndefined()
    expect(because).toEqual([{ code: 'CACHE_UNAVAILABLE', message: '' }])
    await expect(health(url)).resolves.toMatchObject({
      status: 'degraded',
      parts: { cache: { status: 'down' }, journal: { status: 'ok' } },
    })
    expect((await recordOf(server))?.open).toBeUndefined()
    own(cache, 0o755)
    await server.ask({ do: 'clock', offsetMs: 60_000 })
    await board.visit(url)
    board.close()
    expect(wrongEnd(board, await recordOf(server))).toEqual([])
  })
})
