import { createHash } from 'node:crypto'
import { type AppraiseContext, isOtaError, type Json } from '@reflash/core'

/** What is remembered of a device. */
export interface DeviceState {
  /** By environment, the highest that it has shown. */
  readonly svn: Readonly<Record<string, number>>
  /** Where the first identity was believed. */
  readonly identity?: string
}

/** What is remembered, and which version of it. */
export interface StoredState {
  readonly state: DeviceState
  readonly version: string | null
}

type Store = AppraiseContext['state']

// Hashed, because a device id is free text here, and a journal key is not.
const keyOf = (deviceId: string): string => `device/${createHash('sha256').update(deviceId).digest('hex')}`

/** Reads what is remembered of a device. */
export async function readState(store: Store, deviceId: string, signal: AbortSignal): Promise<StoredState> {
  const entry = await store.get(keyOf(deviceId), { signal })
  return entry === undefined ? { state: { svn: {} }, version: null } : { state: parse(entry.value), version: entry.version }
}

/** Writes what a device has shown. False where another appraisal of the device was faster: then it is to be judged again. */
export async function writeState(
  store: Store,
  deviceId: string,
  { version }: StoredState,
  next: DeviceState,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await store.put(
      keyOf(deviceId),
      { svn: next.svn, ...(next.identity === undefined ? {} : { identity: next.identity }) },
      { ifVersion: version, signal },
    )
    return true
  } catch (error) {
    if (isOtaError(error) && error.code === 'JOURNAL_CONFLICT') return false
    throw error
  }
}

/** The state after an appraisal; the same object where nothing is new. */
export function advanced(state: DeviceState, shown: Readonly<Record<string, number>>, identity: string | undefined): DeviceState {
  const raised = Object.entries(shown).filter(([name, svn]) => svn > (Object.hasOwn(state.svn, name) ? (state.svn[name] as number) : -1))
  const isNew = identity !== undefined && state.identity !== identity
  if (raised.length === 0 && !isNew) return state
  return {
    svn: { ...state.svn, ...Object.fromEntries(raised) },
    ...(isNew ? { identity } : state.identity === undefined ? {} : { identity: state.identity }),
  }
}

function parse(value: Json): DeviceState {
  const { svn, identity } = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly svn?: unknown
    readonly identity?: unknown
  }
  const entries = typeof svn === 'object' && svn !== null ? Object.entries(svn) : []
  return {
    svn: Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
    ...(typeof identity === 'string' ? { identity } : {}),
  }
}
