import { join } from 'node:path'
import type { Digest, Reason, Report } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'

/** What the journal holds of a device, as far as the tests look at it. */
export interface StoredDevice {
  readonly seq: number
  readonly open?: { readonly seq: number; readonly digest: Digest; readonly stage: 'plan' | 'deliver' | 'install'; readonly told?: Report }
  readonly history: readonly {
    readonly seq: number
    readonly outcome: 'confirmed' | 'failed' | 'unobserved' | 'superseded'
    readonly digest: Digest
    readonly because: readonly Reason[]
  }[]
}

/** Reads what servers have left behind, as another process that knows the file. */
export async function storedDevices(folder: string, deviceIds: readonly string[]): Promise<ReadonlyMap<string, StoredDevice>> {
  const journal = sqlStore({ file: join(folder, 'journal.db') })
  try {
    const found = new Map<string, StoredDevice>()
    for (const id of deviceIds) {
      const entry = await journal.get(`device/${id}`)
      if (entry !== undefined) found.set(id, entry.value as unknown as StoredDevice)
    }
    return found
  } finally {
    await journal.close?.()
  }
}
