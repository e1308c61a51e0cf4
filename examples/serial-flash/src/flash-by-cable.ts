import { anonymousDevices, createEngine, type PushResult, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal } from '@reflash/core/testing'
import { ociRegistry } from '@reflash/registry-oci'
import { esp32Target, serialTransport } from '@reflash/target-esp32'

/** Updates the ESP32 at a serial port to the highest version of a repository, and stays until it has kept it. */
export async function flashByCable(repository: string, port: string): Promise<PushResult> {
  const { update, composition } = createEngine({
    ...{ repository, registry: ociRegistry(), verifiers: [unsignedArtifacts()], targets: [esp32Target()] },
    ...{ authenticators: [anonymousDevices()], attestation: [unattestedDevices()], journal: memoryJournal(), cache: memoryCache() },
    transports: [serialTransport({ port })],
    onEvent: (event) => event.type === 'device' && console.log(event.stage, event.status),
  })
  return await update({ id: 'bench-1', model: 'esp32s3' }).finally(() => composition.close())
}
