import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, isDigest } from '@reflash/core'
import { fail } from '../cli-errors.ts'

/** An update that has begun and whose end the server may not know yet. */
export interface RememberedUpdate {
  readonly seq: number
  readonly version: string
  readonly digest: Digest
  /**
   * `downloading`: nothing is switched. `switching`: the boot selection may have been changed. `switched`: it was. `confirmed`,
   * `rolled-back` and `failed`: it ended so, and the server has not been told.
   */
  readonly stage: 'downloading' | 'switching' | 'switched' | 'confirmed' | 'rolled-back' | 'failed'
  readonly code?: string
}

/** What a device must not forget: the names that releases gave to images, and the update under way. */
export interface Remembered {
  readonly versions: Readonly<Record<Digest, string>>
  readonly update?: RememberedUpdate
}

export interface DeviceMemory {
  read(): Remembered
  /** Replaces what is remembered; afterwards it survives the death of the process and a power cut. */
  write(remembered: Remembered): void
}

/** Images whose version is kept; two slots hold two, a rolled-back one may be tried again. */
const versionsKept = 8
const stages = new Set<string>(['downloading', 'switching', 'switched', 'confirmed', 'rolled-back', 'failed'])

/**
 * Keeps it in `device.json` in a folder that exists: a file is written whole beside it and renamed, so that a cut leaves the old or the new.
 * @throws `DEVICE_STATE_INVALID` at `read`
 */
export function deviceMemory(folder: string): DeviceMemory {
  const path = join(folder, 'device.json')
  let known: Remembered | undefined
  return {
    read() {
      known ??= readMemory(path)
      return known
    },
    write(remembered) {
      const versions = Object.fromEntries(Object.entries(remembered.versions).slice(-versionsKept))
      known = { ...remembered, versions }
      const temporary = `${path}.new`
      writeFileSync(temporary, `${JSON.stringify({ format: 1, ...known })}\n`, { mode: 0o600 })
      sync(temporary)
      renameSync(temporary, path)
    },
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function readMemory(path: string): Remembered {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { versions: {} }
    throw invalid(path, `it cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  return parseMemory(text, path)
}

/** Reads the content of `device.json`. @throws `DEVICE_STATE_INVALID` */
export function parseMemory(text: string, path: string): Remembered {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw invalid(path, 'it is not JSON')
  }
  const { format, versions, update } = (json ?? {}) as Record<string, unknown>
  if (format !== 1) throw invalid(path, 'its format is not 1')
  if (typeof versions !== 'object' || versions === null) throw invalid(path, 'versions is missing')
  const known = Object.entries(versions).filter((entry): entry is [Digest, string] => isDigest(entry[0]) && typeof entry[1] === 'string')
  return { versions: Object.fromEntries(known), ...(update === undefined ? {} : { update: parseUpdate(path, update) }) }
}

function parseUpdate(path: string, json: unknown): RememberedUpdate {
  const { seq, version, digest, stage, code } = (json ?? {}) as Record<string, unknown>
  if (!Number.isSafeInteger(seq) || typeof version !== 'string' || !isDigest(digest) || typeof stage !== 'string' || !stages.has(stage)) {
    throw invalid(path, 'update is damaged')
  }
  const told = typeof code === 'string' ? { code } : {}
  return { seq: seq as number, version, digest, stage: stage as RememberedUpdate['stage'], ...told }
}

function invalid(path: string, why: string): Error {
  return fail('DEVICE_STATE_INVALID', `${path}: expected the state of a device: ${why}`)
}
