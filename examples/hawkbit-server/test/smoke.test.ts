import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, streamOf } from '@reflash/core'
import { generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { buildSwu, testSigner } from '@reflash/target-swupdate/testing'
import { expect, test } from 'vitest'
import { updateServer } from '../src/update-server.ts'
import { ddiDevice } from './ddi-device.ts'

test('the example updates a device over the API of hawkBit', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-example-'))
  const registry = ociRegistry()
  const keys = await generateKeyPair('secret')
  const { certificate, sign } = testSigner()
  const swu = buildSwu({ version: '1.1.0', image: new Uint8Array(100_000).fill(7), sign })
  const reference = `oci:${folder}/releases:1.1.0`
  const file = {
    open: () => streamOf(swu),
    size: swu.length,
    digest: digestOf(swu),
    title: 'gate.swu',
    platform: { os: 'linux', architecture: 'arm64' },
  }
  await pushArtifact(registry, reference, [file], { product: 'gate', created: new Date() })
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))
  const server = await updateServer({
    repository: `oci:${folder}/releases`,
    publicKey: keys.publicKeyPem,
    signer: certificate,
    tokens: { 'gate-1': 'token' },
    state: join(folder, 'state'),
    listen: '127.0.0.1:0',
  })
  try {
    const device = ddiDevice({ server: server.addresses[0] as string, id: 'gate-1', token: 'token' })
    const links = (await device.poll())._links
    await device.tell(links.configData?.href ?? '', { hardware: 'gate:1.0' })
    const { action, version, bytes } = await device.download(links.deploymentBase?.href ?? '')
    expect([version, digestOf(bytes)]).toEqual(['1.1.0', digestOf(swu)])
    await device.report(action, 'proceeding', 'none')
    await device.report(action, 'closed', 'success')
    expect((await device.poll())._links.deploymentBase).toBeUndefined()
  } finally {
    await server[Symbol.asyncDispose]()
    await registry.close?.()
    await rm(folder, { recursive: true })
  }
})
