import { readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { throwIfAborted } from '@reflash/core'
import { inTurn } from '../in-turn.ts'
import { fail } from '../oci-errors.ts'
import type { OciSettings } from '../oci-options.ts'
import { errnoOf } from './file-failure.ts'

// Between two looks at a lock that is held for some milliseconds.
const pauseMs = 10

/**
 * Runs work while no other process that knows this lock writes the layout: `.index.json.lock`, a file that only one can create, with
 * `<process id> <host name>` inside. The lock of a process of this host that is gone is broken.
 * @throws `LAYOUT_BUSY`, `ABORTED`
 */
export function withLayoutLock<T>(
  directory: string,
  settings: OciSettings,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  // Calls of this process queue here, in order and without looking at files.
  return inTurn(`layout ${directory}`, async () => {
    const lock = join(directory, '.index.json.lock')
    await take(lock, settings, signal)
    try {
      return await work()
    } finally {
      await rm(lock, { force: true })
    }
  })
}

async function take(lock: string, { clock, random, limits }: OciSettings, signal: AbortSignal | undefined): Promise<void> {
  const end = clock.now() + limits.lockTimeoutMs
  while (!(await create(lock))) {
    throwIfAborted(signal)
    const owner = await ownerOf(lock)
    if (owner !== undefined && isGone(owner) && (await breakLock(lock, owner))) continue
    if (clock.now() > end) {
      const found = `${lock} held by ${owner ?? 'nobody known'}`
      throw fail('LAYOUT_BUSY', `expected the lock of the layout within ${limits.lockTimeoutMs} ms, found ${found}`, { details: { lock } })
    }
    await clock.sleep(pauseMs * (1 + random()), signal)
  }
}

async function create(path: string): Promise<boolean> {
  try {
    await writeFile(path, `${process.pid} ${hostname()}`, { flag: 'wx' })
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

async function ownerOf(path: string): Promise<string | undefined> {
  try {
    const text = (await readFile(path, 'utf8')).slice(0, 300)
    return /^[0-9]{1,10} \S+$/.test(text) ? text : undefined
  } catch {
    return undefined
  }
}

function isGone(owner: string): boolean {
  const [pid, host] = owner.split(' ')
  if (host !== hostname()) return false
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return errnoOf(error) === 'ESRCH'
  }
}

/** Two who find the same dead lock must not both remove it: the second would remove the new lock of the first. A second lock orders them. */
async function breakLock(lock: string, owner: string): Promise<boolean> {
  const breaking = `${lock}.breaking`
  if (!(await create(breaking))) return false
  try {
    if ((await ownerOf(lock)) === owner) await rm(lock, { force: true })
    return true
  } finally {
    await rm(breaking, { force: true })
  }
}
