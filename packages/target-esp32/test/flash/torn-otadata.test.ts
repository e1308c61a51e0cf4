import type { FlashPort } from '@reflash/core'
import { PowerCut } from '@reflash/core/testing'
import { describe, expect, it } from 'vitest'
import { encodeOtadataEntry, esp32Target } from '../../src/index.ts'
import { flashPort, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { appImage, running } from '../support/virtual-state.ts'

const target = esp32Target()
const driver = target.drive?.flash as NonNullable<NonNullable<(typeof target)['drive']>['flash']>
const otadata = { from: 0xe000, to: 0x1_0000 }
const stateAt = 24

/** A port whose power goes at the erase, or the write, of the state of an entry; `torn` says what is left of an entry that was `before`, and would have become `after`. */
function tornPort(device: VirtualEsp32, at: 'erase' | 'write', torn: (before: Uint8Array, after: Uint8Array) => Uint8Array): FlashPort {
  const port = flashPort(device)
  const { flash } = device
  const act = (what: 'erase' | 'write', offset: number, length: number, whole: () => void): void => {
    const sector = offset - (offset % 0x1000)
    const before = flash.read(sector, 32)
    whole()
    const hasState = offset - sector <= stateAt && offset - sector + length >= stateAt + 4
    if (what !== at || offset < otadata.from || offset >= otadata.to || !hasState) return
    const left = torn(before, flash.read(sector, 32))
    flash.erase(sector, 0x1000)
    flash.write(sector, left)
    throw new PowerCut('off')
  }
  return {
    ...port,
    deviceId: port.deviceId,
    erase: async (offset, length) => act('erase', offset, length, () => flash.erase(offset, length)),
    write: async (offset, bytes) => act('write', offset, bytes.length, () => flash.write(offset, bytes)),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Everything but the four bytes of the state; those as they are in `from`. */
const butState = (others: Uint8Array, from: Uint8Array): Uint8Array =>
  others.map((byte, index) => (index >= stateAt && index < stateAt + 4 ? (from[index] as number) : byte))

async function plannedUpdate(device: VirtualEsp32, version: string) {
  const image = heldImage(appImage(version))
  const port = flashPort(device)
  const plan = target.plan(await driver.probe(port, context), await target.inspect(image, context), image.descriptor)
  await driver.deliver(plan, image, port, context)
  return plan
}

/** How often `version` is started by three resets, where it never keeps itself. */
function startsOf(version: string, device: VirtualEsp32): number {
  const again = virtualEsp32({ chip: 'esp32s3', flash: device.flash })
  const booted = [again.booted, again.boot(), again.boot()]
  return booted.filter((each) => each.is === 'running' && each.version === version).length
}

describe('an otadata entry whose power fails', () => {
  it('does not become selectable again while the erase of an aborted one takes its state first', async () => {
    const device = running('1.0.0')
    await driver.install(await plannedUpdate(device, '1.1.0'), flashPort(device), context)
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
    const plan = await plannedUpdate(device, '1.2.0')
    const port = tornPort(device, 'erase', (before, after) => butState(before, after))
    await expect(driver.install(plan, port, context)).rejects.toThrow(PowerCut)
    expect(startsOf('1.2.0', device)).toBe(0)
  })

  it.each(['a blank', 'an aborted'])('does not become selectable over %s one by a write that leaves out its state', async (over) => {
    const device = running('1.0.0')
    if (over === 'an aborted') {
      await driver.install(await plannedUpdate(device, '1.0.1'), flashPort(device), context)
      device.boot()
    }
    const plan = await plannedUpdate(device, '1.1.0')
    const port = tornPort(device, 'write', (_, after) => butState(after, new Uint8Array(32).fill(0xff)))
    await expect(driver.install(plan, port, context)).rejects.toThrow(PowerCut)
    expect(startsOf('1.1.0', device)).toBe(0)
  })

  it('is not kept by an erase that was to take it back, and takes its state first', async () => {
    const device = running('1.0.0')
    const plan = await plannedUpdate(device, '1.1.0')
    await driver.install(plan, flashPort(device), context)
    const port = tornPort(device, 'erase', (before, after) => butState(before, after))
    await expect(driver.rollback?.(plan, port, context)).rejects.toThrow(PowerCut)
    expect(startsOf('1.1.0', device)).toBe(0)
  })

  it('ends as ESP-IDF writes it', async () => {
    const device = running('1.0.0')
    await driver.install(
      await plannedUpdate(device, '1.1.0'),
      { ...flashPort(device), deviceId: 'd', reset: async () => {}, [Symbol.asyncDispose]: async () => {} },
      context,
    )
    expect(device.flash.read(otadata.from + 0x1000, 32)).toEqual(encodeOtadataEntry(2, 'new'))
    expect(device.flash.misuses).toBe(0)
  })
})
