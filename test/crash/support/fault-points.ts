import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Journal } from '@reflash/core'
import type { FaultPoint } from './messages.ts'

/** Counts what is written, and ends this process at the one write that it was told. */
export interface FaultPoints {
  arm(fault: FaultPoint | undefined, cacheFolder: string): void
  journal(journal: Journal): Journal
}

type Call = (...args: never[]) => unknown

/** Makes the fault points of this process; afterwards its file system calls go through them. */
export function faultPoints(): FaultPoints {
  let fault: FaultPoint | undefined
  let folder = ''
  let writes = 0

  /** The moment of one write, as far as it is counted now. */
  function next(of: FaultPoint['of']): FaultPoint['when'] | undefined {
    if (fault?.of !== of) return undefined
    writes += 1
    return writes === fault.at ? fault.when : undefined
  }

  async function around<T>(of: FaultPoint['of'], write: () => Promise<T>, half?: () => void): Promise<T> {
    const when = next(of)
    if (when === 'before') die()
    if (when === 'inside') {
      half?.()
      die()
    }
    const value = await write()
    if (when === 'after') die()
    return value
  }

  const inCache = (path: unknown): boolean => folder !== '' && typeof path === 'string' && path.startsWith(folder)

  const files = fs.promises as unknown as Record<string, Call>
  for (const name of ['rename', 'rm', 'utimes', 'mkdir', 'chmod']) {
    const real = files[name] as (...args: unknown[]) => Promise<unknown>
    files[name] = ((...args: unknown[]) => (inCache(args[0]) ? around('cache', () => real(...args)) : real(...args))) as Call
  }
  const open = fs.promises.open
  files.open = (async (path: string, flags: string, ...rest: []) => {
    const isNew = inCache(path) && flags === 'wx'
    const handle = isNew ? await around('cache', () => open(path, flags, ...rest)) : await open(path, flags, ...rest)
    return isNew ? watched(handle) : handle
  }) as Call
  syncBuiltinESMExports()

  function watched(handle: fs.promises.FileHandle): fs.promises.FileHandle {
    const writev = handle.writev.bind(handle)
    const sync = handle.sync.bind(handle)
    handle.writev = ((buffers: Uint8Array[]) =>
      around(
        'cache',
        () => writev(buffers),
        () => {
          const [first = new Uint8Array()] = buffers
          fs.writeSync(handle.fd, first, 0, Math.floor(first.length / 2))
        },
      )) as typeof handle.writev
    handle.sync = () => around('cache', sync)
    return handle
  }

  return {
    arm(given, cacheFolder) {
      fault = given
      folder = cacheFolder
      writes = 0
    },
    journal: (journal) => ({
      ...journal,
      put: (...args) => around('journal', () => journal.put(...args)),
      delete: (...args) => around('journal', () => journal.delete(...args)),
    }),
  }
}

/** As the machine's owner does it, or the kernel that is out of memory: no handler runs, nothing is flushed. */
function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('expected SIGKILL to end the process at once')
}
