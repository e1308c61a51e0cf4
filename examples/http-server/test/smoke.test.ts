import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, digestOf, streamOf } from '@reflash/core'
import { generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { demoImage } from '@reflash/target-esp32/testing'
import { nativeClient } from '@reflash/transport-http/client'
import { expect, test } from 'vitest'
import { updateServer } from '../src/update-server.ts'

test('the example updates a device from a signed release', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-example-'))
  const registry = ociRegistry()
  const keys = await generateKeyPair('secret')
  const image = demoImage({ chip: 'esp32c3', version: '1.1.0' })
  const reference = `oci:${folder}/releases:1.1.0`
  const file = {
    open: () => streamOf(image),
    size: image.length,
    digest: digestOf(image),
    title: 'lamp.bin',
    platform: { os: 'custom', architecture: 'esp32c3' },
  }
  await pushArtifact(registry, reference, [file], { product: 'lamp', created: new Date() })
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))
  const server = await updateServer({
    repository: `oci:${folder}/releases`,
    publicKey: keys.publicKeyPem,
    tokens: { d1: 'token' },
    state: join(folder, 'state'),
    listen: '127.0.0.1:0',
  })
  const client = nativeClient({ server: server.addresses[0] as string, deviceId: 'd1', token: 'token' })
  try {
    const { offer } = await client.checkIn({ model: 'esp32c3', installed: { version: '1.0.0' } })
    const component = offer?.components[0]
    if (offer === undefined || component === undefined) throw new Error('expected an offer')
    expect(digestOf(await collect(client.download(component), component.size))).toBe(component.digest)
    await client.report(offer.seq, { state: 'installed' })
    const after = await client.checkIn({ model: 'esp32c3', installed: { version: '1.1.0', state: 'confirmed' } })
    expect(after.because?.[0]?.code).toBe('UP_TO_DATE')
  } finally {
    await client.close()
    await server[Symbol.asyncDispose]()
    await registry.close?.()
    await rm(folder, { recursive: true })
  }
})
