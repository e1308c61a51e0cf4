import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { ociRegistry, openUnencryptedKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { esp32Image } from './esp32-device.ts'
import { boardImage } from './memory-board.ts'

/** Image layouts with one release each, `1.1.0`: signed by a key for the ESP32, unsigned for the board in memory. */
export interface Releases {
  readonly esp32: { readonly repository: string; readonly key: string }
  readonly memory: { readonly repository: string }
}

export const newVersion = '1.1.0'

export async function releasesIn(folder: string): Promise<Releases> {
  const registry = ociRegistry()
  const at = (name: string): string => `oci:${join(folder, name)}`
  const push = (name: string, bytes: Uint8Array) =>
    pushArtifact(registry, `${at(name)}:${newVersion}`, [{ title: `${name}.bin`, bytes }], { created: new Date(0), version: newVersion })
  await push('esp32', esp32Image(newVersion))
  await push('memory', boardImage(newVersion))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = openUnencryptedKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  await signArtifact(registry, `${at('esp32')}:${newVersion}`, key)
  return { esp32: { repository: at('esp32'), key: key.publicKeyPem }, memory: { repository: at('memory') } }
}
