import { anonymousDevices, createEngine, type PushResult, type Transport, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal } from '@reflash/core/testing'
import { ociRegistry } from '@reflash/registry-oci'
import { esp32Target } from '@reflash/target-esp32'
import { flashPort, type VirtualEsp32 } from '@reflash/target-esp32/testing'

/** A transport of your own: how to reach the flash of a device. Here the flash is that of a virtual chip. */
export function benchTransport(chip: VirtualEsp32): Transport<'flash'> {
  return {
    kind: 'transport',
    name: 'bench',
    spec: 0,
    uses: 'flash',
    connect: async () => ({
      port: flashPort(chip),
      principal: { deviceId: chip.id, by: 'gateway' },
      [Symbol.asyncDispose]: async () => {},
    }),
  }
}

/** Pushes the highest version of a repository to a chip, and stays until the chip has kept it. */
export async function pushUpdate(repository: string, chip: VirtualEsp32): Promise<PushResult> {
  const engine = createEngine({
    repository,
    registry: ociRegistry(),
    verifiers: [unsignedArtifacts()],
    targets: [esp32Target()],
    authenticators: [anonymousDevices()],
    attestation: [unattestedDevices()],
    journal: memoryJournal(),
    cache: memoryCache(),
    transports: [benchTransport(chip)],
    onEvent: (event) => event.type === 'device' && console.log(event.stage, event.status),
  })
  try {
    return await engine.update({ id: chip.id, model: chip.chip.name })
  } finally {
    await engine.composition.close()
  }
}
