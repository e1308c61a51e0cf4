import type { ErrorEntry, ErrorTable } from '@reflash/core'
import { cliErrors } from './cli-errors.ts'

// Loaded one after the other and only when an error is printed: a start must not pay for tables that it does not need.
const tables: readonly (() => Promise<ErrorTable>)[] = [
  async () => cliErrors,
  async () => (await import('@reflash/core')).coreErrors,
  async () => (await import('@reflash/registry-oci')).ociErrors,
  async () => (await import('@reflash/registry-oci')).cosignErrors,
  async () => (await import('@reflash/target-esp32')).esp32Errors,
  async () => (await import('@reflash/target-swupdate')).swupdateErrors,
  async () => (await import('@reflash/transport-http')).httpErrors,
  async () => (await import('@reflash/transport-mqtt')).mqttErrors,
  async () => (await import('@reflash/store-sql')).sqlErrors,
  async () => (await import('@reflash/attest-dice')).diceErrors,
]

/** The row of a code, in the table of the package that owns it. */
export async function entryOf(code: string): Promise<ErrorEntry | undefined> {
  for (const load of tables) {
    const table = await load()
    if (Object.hasOwn(table, code)) return table[code]
  }
  return undefined
}
