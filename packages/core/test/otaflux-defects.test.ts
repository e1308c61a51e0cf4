import { createGateway } from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { image, principal, repository, vouchingVerifier, world } from './composition.ts'
import { at, d1 } from './gateway/pull.ts'

// OtaFlux at commit 0c612be has twelve known defects and lacks. Those that the choice of a release has, by number.

describe('a release is chosen', () => {
  test('OtaFlux defect 1: under a tag with a v as well', async () => {
    const { release, composition } = world()
    release('1.1.0', { tag: 'v1.1.0' })
    expect((await createGateway(composition).checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.1.0')
  })

  test('OtaFlux defect 2: never a pre-release, but for devices that follow its channel', async () => {
    const { release, composition } = world()
    for (const version of ['1.2.10', '1.3.0-beta.1', '1.2.9']) release(version)
    expect((await createGateway(composition).checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.2.10')
    const beta = world({ policy: { channel: 'beta' } })
    for (const version of ['1.2.10', '1.3.0-beta.1', '1.2.9']) beta.release(version)
    expect((await createGateway(beta.composition).checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.3.0-beta.1')
  })

  test('OtaFlux defect 4: out of an index, for the platform of the device and wherever it stands there', async () => {
    const signed = new Set<string>()
    const { registry, composition } = world({ verifiers: [vouchingVerifier(signed)], targets: [memoryTarget('b')] })
    const made = ['bench', 'board'].map((model) => {
      const platform = { os: 'custom', architecture: model }
      return registry.addArtifact(repository, { content: image(model, model), version: '1.1.0', platform })
    })
    signed.add(registry.addIndex(repository, { manifests: made.map(({ manifest }) => manifest), tag: '1.1.0' }).digest)
    const gateway = createGateway(composition)
    for (const [index, model] of ['bench', 'board'].entries()) {
      const { offer } = await gateway.checkIn(principal(model), { ...at('1.0.0'), model })
      expect(offer?.components[0]?.yields).toBe(made[index]?.layers[0]?.digest)
    }
  })

  test('OtaFlux defect 5: what is served is what was verified, wherever the tag points meanwhile', async () => {
    const { release, composition, clock } = world()
    release('1.1.0', { filler: 'verified' })
    const gateway = createGateway(composition)
    const { offer } = await gateway.checkIn(d1, at('1.0.0'))
    const digest = offer?.components[0]?.yields
    release('1.1.0', { filler: 'moved', unsigned: true })
    clock.advance(60_000)
    expect((await gateway.read(d1, 1)).representation.descriptor.digest).toBe(digest)
  })
})
