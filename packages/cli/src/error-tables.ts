import type { ErrorTable } from '@reflash/core'
import { cliErrors } from './cli-errors.ts'

// Loaded one after the other and only when an error is printed: a start must not pay for tables that it does not need.
const tables: readonly (() => Promise<ErrorTable>)[] = [
  async () => cliErrors,
  async () => (await import('@reflash/core')).coreErrors,
  async () => (await import('@reflash/registry-oci')).ociErrors,
  async () => (await import('@reflash/registry-oci')).cosignErrors,
  async () => (await import('@reflash/target-esp32')).esp32Errors,
]

/** What the table of the package that owns `code` says a reader can do. */
export async function nextStep(code: string): Promise<string | undefined> {
  for (const load of tables) {
    const entry = (await load())[code]
    if (entry !== undefined) return entry.next
  }
  return undefined
}
