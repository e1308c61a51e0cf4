import { isOtaError } from '@reflash/core'
import { PowerCut, powerSupply } from '@reflash/core/testing'
import { describe, expect, it } from 'vitest'
import { twoOtaTable } from '../../src/index.ts'
import { agentPort, demoImage, flashPort, type NorFlash, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { appImage, running } from '../support/virtual-state.ts'

/** Downloads as a device does: from where it left off, in chunks of odd sizes. */
async function download(device: VirtualEsp32, bytes: Uint8Array, { flash, upTo = bytes.length }: { flash?: NorFlash; upTo?: number } = {}) {
  const agent = agentPort(device, flash)
  const { digest, size } = heldImage(bytes).descriptor
  const { offset } = await agent.begin({ digest, size }, context)
  for (let at = offset; at < upTo; at += 1777) await agent.write(at, bytes.subarray(at, Math.min(at + 1777, upTo)), context)
  return { agent, offset }
}

async function refusal(act: Promise<unknown>): Promise<string> {
  try {
    await act
  } catch (error) {
    if (isOtaError(error)) return error.code
    throw error
  }
  return 'nothing'
}

describe('the agent of a virtual ESP32', () => {
  it('installs a first image on a device that has none', async () => {
    const device = virtualEsp32({ chip: 'esp32s3' })
    const { agent } = await download(device, appImage('1.0.0'))
    await agent.activate(context)
    expect(device.boot()).toMatchObject({ version: '1.0.0', slot: 0, pendingVerify: true })
    device.markValid()
    expect(await agent.status(context)).toMatchObject({ model: 'esp32s3', installed: { version: '1.0.0', state: 'confirmed' } })
    expect(device.flash.misuses).toBe(0)
  })

  it('updates, again and again, from slot to slot', async () => {
    const device = running('1.0.0')
    for (const version of ['1.1.0', '1.2.0', '1.3.0']) {
      const { agent, offset } = await download(device, appImage(version))
      expect(offset).toBe(0)
      await agent.activate(context)
      expect(device.boot()).toMatchObject({ version, pendingVerify: true })
      device.markValid()
    }
    expect(device.flash.misuses).toBe(0)
  })

  it('goes on with a download where it broke off, by whole sectors, also in another process', async () => {
    const device = running('1.0.0')
    const image = appImage('1.1.0')
    const { agent } = await download(device, image, { upTo: 9000 })
    const missing = []
    for await (const range of agent.missing?.(context) ?? []) missing.push(range)
    expect(missing).toEqual([{ offset: 9000, length: image.length - 9000 }])
    const again = virtualEsp32({ chip: 'esp32s3', flash: device.flash })
    const { agent: next, offset } = await download(again, image)
    expect(offset).toBe(8192)
    await next.activate(context)
    expect(again.boot()).toMatchObject({ version: '1.1.0' })
    expect(device.flash.misuses).toBe(0)
  })

  it('begins anew for another image', async () => {
    const device = running('1.0.0')
    await download(device, appImage('1.1.0'), { upTo: 9000 })
    const { agent, offset } = await download(device, appImage('1.2.0'))
    expect(offset).toBe(0)
    await agent.activate(context)
    expect(device.boot()).toMatchObject({ version: '1.2.0' })
  })

  it('has nothing left to download of an image that was rolled back, and can try it again', async () => {
    const device = running('1.0.0')
    const image = appImage('1.1.0')
    await (await download(device, image)).agent.activate(context)
    device.boot()
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
    const { agent, offset } = await download(device, image)
    expect(offset).toBe(image.length)
    await agent.activate(context)
    expect(device.boot()).toMatchObject({ version: '1.1.0' })
  })

  it('notices that the slot changed under it, and downloads again', async () => {
    const device = running('1.0.0')
    const image = appImage('1.1.0')
    await download(device, image)
    device.flash.write(0x1e_0000 + 4000, new Uint8Array(1))
    const { agent, offset } = await download(device, image)
    expect(offset).toBe(image.length)
    expect(await refusal(agent.activate(context))).toBe('SLOT_CONTENT')
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
    expect((await download(device, image)).offset).toBe(0)
    await agent.activate(context)
    expect(device.boot()).toMatchObject({ version: '1.1.0' })
  })

  it('goes on with a download whose last mark was torn into garbage', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const device = running('1.0.0')
      const image = appImage('1.1.0')
      // The log: erase, write, write; then each sector: erase, write, mark.
      const power = powerSupply({ operation: 5, mode: 'garbage', seed })
      await expect(download(device, image, { flash: power.flash(device.flash) })).rejects.toThrow(PowerCut)
      expect(power.operations.at(-1)).toMatchObject({ kind: 'write', length: 1 })
      const { agent } = await download(device, image)
      await agent.activate(context)
      expect(device.boot()).toMatchObject({ version: '1.1.0' })
    }
  })

  it('refuses what does not go on where the last write ended', async () => {
    const device = running('1.0.0')
    const agent = agentPort(device)
    expect(await refusal(agent.write(0, new Uint8Array(1), context))).toBe('VIRTUAL_DEVICE')
    const { agent: begun } = await download(device, appImage('1.1.0'), { upTo: 5000 })
    expect(await refusal(begun.write(4999, new Uint8Array(1), context))).toBe('VIRTUAL_DEVICE')
    expect(await refusal(begun.write(5000, new Uint8Array(20_000), context))).toBe('VIRTUAL_DEVICE')
  })

  it('refuses to start an update while the running image waits for its self-test', async () => {
    const device = running('1.0.0')
    await (await download(device, appImage('1.1.0'))).agent.activate(context)
    device.boot()
    expect(await refusal(download(device, appImage('1.2.0')))).toBe('UPDATE_PENDING')
  })

  it.each<[string, Uint8Array, Parameters<typeof running>[1]]>([
    ['WRONG_CHIP', demoImage({ chip: 'esp32c3', version: '1.1.0', sizeBytes: 2048 }), {}],
    ['IMAGE_REFUSED', new Uint8Array(2048).fill(7), {}],
    ['CHIP_REVISION', demoImage({ chip: 'esp32s3', version: '1.1.0', sizeBytes: 2048, minChipRevision: 2 }), {}],
    ['IMAGE_LARGER_THAN_SLOT', new Uint8Array(0x1d_0001), {}],
    ['NO_SECOND_SLOT', appImage('1.1.0'), { partitions: twoOtaTable().slice(0, 3) }],
  ])('refuses with %s, and stays with what it runs', async (code, image, options) => {
    const device = running('1.0.0', options)
    expect(await refusal(download(device, image).then(({ agent }) => agent.activate(context)))).toBe(code)
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('with anti-rollback refuses an older security version, and erases it', async () => {
    const device = virtualEsp32({ chip: 'esp32s3', antiRollback: true, efuse: { secureVersion: 2 } })
    device.provision(demoImage({ chip: 'esp32s3', version: '2.0.0', secureVersion: 2, sizeBytes: 2048 }))
    device.boot()
    const { agent } = await download(device, demoImage({ chip: 'esp32s3', version: '1.0.0', secureVersion: 1, sizeBytes: 2048 }))
    expect(await refusal(agent.activate(context))).toBe('SECURE_VERSION_LOWER')
    expect(device.flash.read(0x1e_0000, 2048).every((byte) => byte === 0xff)).toBe(true)
    expect(device.boot()).toMatchObject({ version: '2.0.0' })
  })

  it('heeds an abort, as the flash port does', async () => {
    const device = running('1.0.0')
    const aborted = { ...context, signal: AbortSignal.abort() }
    const { digest } = heldImage(appImage('1.1.0')).descriptor
    expect(await refusal(agentPort(device).begin({ digest, size: 5 }, aborted))).toBe('ABORTED')
    expect(await refusal(flashPort(device).read(0, 1, aborted))).toBe('ABORTED')
    expect(await refusal(flashPort(device).erase(0, 4096, aborted))).toBe('ABORTED')
    expect(await refusal(flashPort(device).write(0, new Uint8Array(1), aborted))).toBe('ABORTED')
  })
})
