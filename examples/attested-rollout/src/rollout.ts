import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, diskCache, streamOf, tokenDevices } from '@reflash/core'
import { cosignVerifier, generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { demoImage } from '@reflash/target-esp32/testing'
import { httpTransport } from '@reflash/transport-http'
import { attestedGateway } from './attested-gateway.ts'
import { attestingLamp, type Behaviour } from './attesting-lamp.ts'

const chip = 'esp32s3'
const behaviours: readonly Behaviour[] = ['honest', 'lies about its version', 'can be debugged']

/** Updates three lamps from a signed release, and says how each of them ended. */
export async function rollout(say: (line: string) => void): Promise<ReadonlyMap<Behaviour, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-attested-'))
  const registry = ociRegistry()
  const keys = await generateKeyPair('secret')
  const image = demoImage({ chip, version: '1.1.0' })
  const file = {
    open: () => streamOf(image),
    size: image.length,
    digest: digestOf(image),
    title: 'lamp.bin',
    platform: { os: 'custom', architecture: chip },
  }
  const reference = `oci:${folder}/releases:1.1.0`
  await pushArtifact(registry, reference, [file], { product: 'lamp', created: new Date() })
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))

  const lamps = behaviours.map((behaviour, index) => attestingLamp(`lamp-${index + 1}`, chip, behaviour))
  const authenticators = [tokenDevices(Object.fromEntries(lamps.map(({ id, token }) => [id, token])))]
  const ends = new Map<Behaviour, string>()
  const bootloader = { hashAlg: 'sha256', digest: createHash('sha256').update('bootloader').digest('hex') }
  const gateway = attestedGateway(
    {
      repository: `oci:${folder}/releases`,
      product: 'lamp',
      registry,
      verifiers: [cosignVerifier({ keys: [keys.publicKeyPem] })],
      targets: [esp32Target()],
      authenticators,
      journal: sqlStore({ file: join(folder, 'journal.db') }),
      cache: diskCache({ directory: join(folder, 'cache') }),
      onEvent: (event) => {
        if (event.type !== 'device' || event.stage !== 'confirm' || event.status === 'waiting') return
        const behaviour = lamps.find(({ id }) => id === event.deviceId)?.behaviour as Behaviour
        const codes = event.because.map(({ code }) => code)
        ends.set(behaviour, codes[0] ?? event.status)
        say(`${event.deviceId} (${behaviour}): ${event.status}${codes.length === 0 ? '' : `, because ${codes.join(', ')}`}`)
      },
    },
    {
      anchors: [lamps[0]?.makerPem ?? ''],
      identities: Object.fromEntries(lamps.map(({ id, identity }) => [id, identity])),
      referenceValues: [{ environment: { layer: 1 }, fwids: [bootloader] }],
    },
  )
  const serving = await httpTransport({ listen: '127.0.0.1:0' }).serve({ gateway, authenticators })
  try {
    for (const lamp of lamps) await lamp.update(serving.addresses[0] as string)
  } finally {
    await serving[Symbol.asyncDispose]()
    await gateway.composition.close()
    await rm(folder, { recursive: true, force: true })
  }
  return ends
}
