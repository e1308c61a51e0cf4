import { type FlashPort, type HeldImage, isOtaError, type Observation, type RunContext } from '@reflash/core'
import { describe, expect, it } from 'vitest'
import { type Esp32Plan, encodeOtadataEntry, esp32Target, factoryAndTwoOtaTable, twoOtaTable } from '../../src/index.ts'
import { flashPort, memoryFlash, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { appImage, recordedPort, running } from '../support/virtual-state.ts'

const target = esp32Target()
const driver = target.drive?.flash as NonNullable<NonNullable<(typeof target)['drive']>['flash']>

async function planFor(device: VirtualEsp32, image: HeldImage, port = flashPort(device)): Promise<Esp32Plan> {
  return target.plan(await driver.probe(port, context), await target.inspect(image, context), image.descriptor)
}

async function update(device: VirtualEsp32, bytes: Uint8Array): Promise<Esp32Plan> {
  const [image, port] = [heldImage(bytes), flashPort(device)]
  const plan = await planFor(device, image)
  await driver.deliver(plan, image, port, context)
  await driver.install(plan, port, context)
  return plan
}

const versionOf = ({ booted }: VirtualEsp32): string => (booted.is === 'running' ? booted.version : 'unbootable')

describe('an A/B update through the flash port', () => {
  it('is delivered, read back, installed, started as pending, and confirmed', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0'))
    const port = flashPort(device)
    const plan = await planFor(device, image)
    expect(plan.slot).toEqual({ number: 1, offset: 0x1e_0000, sizeBytes: 0x1d_0000 })

    const delivered = await driver.deliver(plan, image, port, context)
    expect(delivered).toEqual<Observation>({
      by: 'read-back',
      digest: image.descriptor.digest,
      size: image.descriptor.size,
      crc32: image.crc32,
    })
    expect(device.boot()).toMatchObject({ version: '1.0.0', pendingVerify: false })

    expect(await driver.install(plan, port, context)).toEqual<Observation>({ by: 'report', report: { state: 'installed' } })
    expect(device.booted).toMatchObject({ version: '1.1.0', slot: 1, pendingVerify: true })
    expect(await driver.confirm(plan, port, context)).toEqual<Observation>({
      by: 'check-in',
      installed: { version: '1.1.0', digest: plan.digest, state: 'pending' },
    })

    device.markValid()
    expect(await driver.confirm(plan, port, context)).toMatchObject({ by: 'check-in', installed: { state: 'confirmed' } })
    expect(device.boot()).toMatchObject({ version: '1.1.0', pendingVerify: false })
    expect(device.flash.misuses).toBe(0)
  })

  it('goes back and forth between the slots', async () => {
    const device = running('1.0.0')
    for (const [version, slot] of [
      ['1.1.0', 1],
      ['1.2.0', 0],
      ['1.3.0', 1],
    ] as const) {
      await update(device, appImage(version))
      device.markValid()
      expect(device.boot()).toMatchObject({ version, slot })
    }
    expect(device.flash.misuses).toBe(0)
  })

  it('that the device does not keep is rolled back at its next start, and seen as rolled back', async () => {
    const device = running('1.0.0')
    const plan = await update(device, appImage('1.1.0'))
    expect(versionOf(device)).toBe('1.1.0')
    expect(device.boot()).toMatchObject({ version: '1.0.0', slot: 0 })
    expect(await driver.confirm(plan, flashPort(device), context)).toMatchObject({ by: 'report', report: { state: 'rolled-back' } })
    await update(device, appImage('1.1.1'))
    device.markValid()
    expect(device.boot()).toMatchObject({ version: '1.1.1' })
  })

  it('can be rolled back by the driver, also twice', async () => {
    const device = running('1.0.0')
    const plan = await update(device, appImage('1.1.0'))
    await driver.rollback?.(plan, flashPort(device), context)
    expect(device.booted).toMatchObject({ version: '1.0.0', pendingVerify: false })
    const { done, port } = recordedPort(device)
    await driver.rollback?.(plan, port, context)
    expect(done).toEqual([])
  })

  it('can be rolled back after it was confirmed', async () => {
    const device = running('1.0.0')
    const plan = await update(device, appImage('1.1.0'))
    device.markValid()
    await driver.rollback?.(plan, flashPort(device), context)
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('cannot be rolled back where no other slot holds an image', async () => {
    const device = virtualEsp32({ chip: 'esp32s3' })
    const plan = await update(device, appImage('1.0.0'))
    device.markValid()
    await expect(driver.rollback?.(plan, flashPort(device), context)).rejects.toMatchObject({
      code: 'NO_PREVIOUS_SLOT',
      fault: 'unsupported',
    })
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('rolls back to the factory image where that ran before', async () => {
    const device = virtualEsp32({ chip: 'esp32s3', partitions: factoryAndTwoOtaTable() })
    device.provision(appImage('0.9.0'), 'factory')
    device.boot()
    const plan = await update(device, appImage('1.0.0'))
    expect(device.booted).toMatchObject({ version: '1.0.0', slot: 0 })
    await driver.rollback?.(plan, flashPort(device), context)
    expect(device.booted).toMatchObject({ version: '0.9.0', slot: 'factory' })
  })

  it('is the first one where nothing was installed', async () => {
    const device = virtualEsp32({ chip: 'esp32s3' })
    expect(device.booted.is).toBe('unbootable')
    expect(await driver.probe(flashPort(device), context)).toEqual({
      id: 'virtual-esp32s3',
      attributes: { otaSlots: 2, slotBytes: 0x1d_0000, updateSlot: 0, updateSlotOffset: 0x1_0000 },
    })
    await update(device, appImage('1.0.0'))
    expect(device.booted).toMatchObject({ version: '1.0.0', slot: 0, pendingVerify: true })
  })

  it('without rollback is kept at once', async () => {
    const plain = esp32Target({ rollback: false })
    const device = running('1.0.0', { rollback: false })
    const [image, port] = [heldImage(appImage('1.1.0')), flashPort(device)]
    const plan = await planFor(device, image)
    await plain.drive?.flash?.deliver(plan, image, port, context)
    await plain.drive?.flash?.install(plan, port, context)
    expect(device.booted).toMatchObject({ version: '1.1.0', pendingVerify: false })
    expect(await plain.drive?.flash?.confirm(plan, port, context)).toMatchObject({ by: 'check-in', installed: { state: 'confirmed' } })
    expect(device.boot()).toMatchObject({ version: '1.1.0' })
  })

  it('is checked by whatever digest its descriptor has', async () => {
    const device = running('1.0.0')
    const [image, port] = [heldImage(appImage('1.1.0'), undefined, 'sha512'), flashPort(device)]
    const plan = await planFor(device, image)
    expect(await driver.deliver(plan, image, port, context)).toMatchObject({ digest: image.descriptor.digest })
    await driver.install(plan, port, context)
    device.markValid()
    expect(await driver.confirm(plan, port, context)).toMatchObject({ installed: { digest: image.descriptor.digest, state: 'confirmed' } })
  })

  it('reports progress, up to the size of the image', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0', 'esp32s3', 200 * 1024), 1000)
    const plan = await planFor(device, image)
    const seen: number[] = []
    const progress = (done: number, total: number): void => {
      expect(total).toBe(image.descriptor.size)
      seen.push(done)
    }
    await driver.deliver(plan, image, flashPort(device), { ...context, progress })
    expect(seen.at(-1)).toBe(image.descriptor.size)
    expect(seen.length).toBeGreaterThan(4)
  })
})

describe('the driver writes', () => {
  it('only into the slot beside the running one, in whole sectors, then one otadata entry, the other one', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0', 'esp32s3', 150 * 1024))
    const { done, port } = recordedPort(device)
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, port, context)
    expect(done).toEqual([
      'erase 1e0000+10000',
      'write 1e0000+10000',
      'erase 1f0000+10000',
      'write 1f0000+10000',
      'erase 200000+6000',
      'write 200000+6000',
    ])
    done.length = 0
    await driver.install(plan, port, context)
    // The boot loader entered ota_0 into the first sector at its first start.
    expect(done).toEqual(['erase f000+1000', 'write f000+1c', 'write f01c+4', 'reset'])
  })

  it('nothing again that is there already', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0', 'esp32s3', 150 * 1024))
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, flashPort(device), context)
    const { done, port } = recordedPort(device)
    expect(await driver.deliver(plan, image, port, context)).toMatchObject({ digest: image.descriptor.digest })
    expect(done).toEqual([])
    await driver.install(plan, port, context)
    done.length = 0
    expect(await driver.deliver(plan, image, port, context)).toMatchObject({ digest: image.descriptor.digest })
    expect(await driver.install(plan, port, context)).toMatchObject({ report: { state: 'installed' } })
    expect(done).toEqual([])
    expect(device.booted).toMatchObject({ version: '1.1.0' })
  })

  it('nothing again after a reset that never came, and resets then; an image that tests itself is not reset', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0'))
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, flashPort(device), context)
    const { done, port } = recordedPort(device)
    const unplugged: FlashPort = {
      ...port,
      deviceId: 'd',
      reset: async () => {
        throw new Error('unplugged')
      },
    }
    await expect(driver.install(plan, unplugged, context)).rejects.toThrow('unplugged')
    done.length = 0
    expect(await driver.confirm(plan, port, context)).toMatchObject({ by: 'check-in', installed: { state: 'pending' } })
    await driver.install(plan, port, context)
    expect(done).toEqual(['reset'])
    expect(device.booted).toMatchObject({ version: '1.1.0', pendingVerify: true })
    await driver.install(plan, port, context)
    expect(done).toEqual(['reset'])
  })

  it('from the first block on that is not there yet, after a broken delivery', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0', 'esp32s3', 150 * 1024))
    const plan = await planFor(device, image)
    const abort = new AbortController()
    const halfway = { ...context, signal: abort.signal, progress: (done: number) => done >= 0x2_0000 && abort.abort() }
    await expect(driver.deliver(plan, image, flashPort(device), halfway as RunContext)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
    const { done, port } = recordedPort(device)
    await driver.deliver(plan, image, port, context)
    expect(done).toEqual(['erase 200000+6000', 'write 200000+6000'])
  })

  it('otadata before the slot, where otadata selects a slot that no longer starts', async () => {
    const device = running('1.0.0')
    await update(device, appImage('1.1.0'))
    device.markValid()
    // The image in ota_1 rots: the bootloader falls back to ota_0, and ota_1, which otadata selects, is what an update goes into.
    device.flash.write(0x1e_0000 + 600, new Uint8Array(64))
    expect(device.boot()).toMatchObject({ version: '1.0.0', slot: 0 })
    const image = heldImage(appImage('1.2.0'))
    const { done, port } = recordedPort(device)
    const plan = await planFor(device, image)
    expect(plan.slot?.number).toBe(1)
    await driver.deliver(plan, image, port, context)
    expect(done).toEqual(['write e01c+4', 'erase e000+1000', 'write e000+1c', 'write e01c+4', 'erase 1e0000+3000', 'write 1e0000+3000'])
    expect(device.boot()).toMatchObject({ version: '1.0.0', slot: 0 })
    await driver.install(plan, port, context)
    expect(device.booted).toMatchObject({ version: '1.2.0', slot: 1, pendingVerify: true })
  })

  it('otadata blank, where a factory image took over from a slot that no longer starts', async () => {
    const device = virtualEsp32({ chip: 'esp32s3', partitions: factoryAndTwoOtaTable() })
    device.provision(appImage('0.9.0'), 'factory')
    device.boot()
    await update(device, appImage('1.0.0'))
    device.markValid()
    device.flash.write(0x11_0000 + 600, new Uint8Array(64))
    expect(device.boot()).toMatchObject({ version: '0.9.0', slot: 'factory' })
    const image = heldImage(appImage('1.1.0'))
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, flashPort(device), context)
    expect(device.boot()).toMatchObject({ version: '0.9.0' })
    await driver.install(plan, flashPort(device), context)
    expect(device.booted).toMatchObject({ version: '1.1.0', slot: 0 })
  })
})

describe('the driver refuses', () => {
  const refusal = async (act: Promise<unknown> | undefined): Promise<{ code: string; message: string }> => {
    try {
      await act
    } catch (error) {
      if (isOtaError(error)) return { code: error.code, message: error.message }
      throw error
    }
    return { code: 'nothing', message: '' }
  }

  it('to switch to a slot whose bytes are not those of the plan, and names size, CRC-32 and digest as expected and found', async () => {
    const device = running('1.0.0')
    const [image, port] = [heldImage(appImage('1.1.0')), flashPort(device)]
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, port, context)
    device.flash.write(0x1e_0000 + 5000, new Uint8Array(1))
    const { code, message } = await refusal(driver.install(plan, port, context))
    expect(code).toBe('SLOT_CONTENT')
    expect(message).toContain(
      `expected ${plan.sizeBytes} bytes, CRC-32 ${plan.crc32}, ${plan.digest}; found ${plan.sizeBytes} bytes, CRC-32 `,
    )
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('to deliver another image than the planned one', async () => {
    const device = running('1.0.0')
    const plan = await planFor(device, heldImage(appImage('1.1.0')))
    const { done, port } = recordedPort(device)
    expect(await refusal(driver.deliver(plan, heldImage(appImage('1.2.0')), port, context))).toMatchObject({
      code: 'IMAGE_OTHER_THAN_PLANNED',
    })
    expect(done).toEqual([])
  })

  it.each([
    ['shorter', -16],
    ['longer', 16],
  ])('an image that turns out %s than its descriptor says', async (_, difference) => {
    const device = running('1.0.0')
    const bytes = appImage('1.1.0')
    const other = new Uint8Array(bytes.length + difference)
    other.set(bytes.subarray(0, other.length))
    const image = heldImage(bytes)
    const plan = await planFor(device, image)
    const lying = { ...image, open: heldImage(other).open }
    const { code, message } = await refusal(driver.deliver(plan, lying, flashPort(device), context))
    expect(code).toBe('IMAGE_OTHER_THAN_PLANNED')
    expect(message).toContain(`expected ${bytes.length} bytes, found`)
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('a second update while the first waits for its self-test', async () => {
    const device = running('1.0.0')
    await update(device, appImage('1.1.0'))
    const image = heldImage(appImage('1.2.0'))
    expect(await refusal(planFor(device, image))).toMatchObject({ code: 'UPDATE_PENDING' })
    const plan = await planFor(running('1.0.0'), image)
    expect(await refusal(driver.deliver({ ...plan, slot: undefined as never }, image, flashPort(device), context))).toMatchObject({
      code: 'UPDATE_PENDING',
    })
  })

  it('a device of another chip', async () => {
    const device = running('1.0.0', { chip: 'esp32c3' })
    const image = heldImage(appImage('1.1.0'))
    expect(await refusal(planFor(device, image))).toMatchObject({ code: 'WRONG_CHIP' })
    const plan = await planFor(running('1.0.0'), image)
    expect(await refusal(driver.deliver(plan, image, flashPort(device), context))).toMatchObject({ code: 'WRONG_CHIP' })
    expect(await refusal(driver.install(plan, flashPort(device), context))).toMatchObject({ code: 'WRONG_CHIP' })
  })

  it('a plan for another slot than the one beside the running one', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.1.0'))
    const plan = await planFor(device, image)
    const slot = { number: 0, offset: 0x1_0000, sizeBytes: 0x1d_0000 }
    expect(await refusal(driver.deliver({ ...plan, slot }, image, flashPort(device), context))).toMatchObject({ code: 'SLOT_CHANGED' })
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('an image that is larger than the slot, and a device without a second slot', async () => {
    const small = running('1.0.0', { partitions: twoOtaTable({ slotBytes: 0x1_0000 }) })
    const large = heldImage(appImage('1.1.0', 'esp32s3', 0x1_0010))
    expect(await refusal(planFor(small, large))).toMatchObject({ code: 'IMAGE_LARGER_THAN_SLOT' })
    const { slot: _, ...plan } = await planFor(running('1.0.0'), large)
    expect(await refusal(driver.deliver(plan, large, flashPort(small), context))).toMatchObject({ code: 'IMAGE_LARGER_THAN_SLOT' })

    const single = running('1.0.0', { partitions: twoOtaTable().slice(0, 3) })
    expect(await refusal(planFor(single, large))).toMatchObject({ code: 'NO_SECOND_SLOT' })
    expect(await refusal(driver.deliver(plan, large, flashPort(single), context))).toMatchObject({ code: 'NO_SECOND_SLOT' })
  })

  it('a flash without a partition table, and one without otadata', async () => {
    const blank = flashPort(running('1.0.0'), memoryFlash())
    expect(await refusal(driver.probe(blank, context))).toMatchObject({ code: 'PARTITION_TABLE_INVALID' })
    const device = running('1.0.0', { partitions: twoOtaTable().filter(({ label }) => label !== 'otadata') })
    expect(await refusal(driver.probe(flashPort(device), context))).toMatchObject({ code: 'OTADATA_MISSING' })
  })

  it('to believe a port that returns too few bytes', async () => {
    const device = running('1.0.0')
    const port: FlashPort = { ...flashPort(device), deviceId: 'd', read: async () => new Uint8Array(3) }
    expect(await refusal(driver.probe(port, context))).toMatchObject({ code: 'FLASH_READ_SHORT' })
  })

  it('to go on where otadata does not keep what is written', async () => {
    const device = running('1.0.0')
    const [image, port] = [heldImage(appImage('1.1.0')), flashPort(device)]
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, port, context)
    const worn: FlashPort = {
      ...port,
      deviceId: 'd',
      write: (offset, bytes, run) =>
        port.write(
          offset,
          bytes.map((byte) => byte & 0xfe),
          run,
        ),
    }
    expect(await refusal(driver.install(plan, worn, context))).toMatchObject({ code: 'OTADATA_NOT_WRITTEN' })
    expect(device.boot()).toMatchObject({ version: '1.0.0' })
  })

  it('to be cancelled between the erase and the write of otadata', async () => {
    const device = running('1.0.0')
    const [image, port] = [heldImage(appImage('1.1.0')), flashPort(device)]
    const plan = await planFor(device, image)
    await driver.deliver(plan, image, port, context)
    const abort = new AbortController()
    const cancelling: FlashPort = {
      ...port,
      deviceId: 'd',
      erase: async (offset, length, run) => {
        await port.erase(offset, length, run)
        abort.abort()
      },
    }
    await refusal(driver.install(plan, cancelling, { ...context, signal: abort.signal }))
    expect(device.boot()).toMatchObject({ version: '1.1.0' })
  })
})

describe('a probe', () => {
  it('tells chip, version, digest, slots and the state of the running image', async () => {
    const device = running('1.0.0')
    const image = heldImage(appImage('1.0.0'))
    expect(await driver.probe(flashPort(device), context)).toEqual({
      id: 'virtual-esp32s3',
      model: 'esp32s3',
      installed: { version: '1.0.0', digest: image.descriptor.digest, state: 'confirmed' },
      attributes: { otaSlots: 2, slotBytes: 0x1d_0000, updateSlot: 1, updateSlotOffset: 0x1e_0000, otaState: 'valid' },
    })
    await update(device, appImage('1.1.0'))
    expect(await driver.probe(flashPort(device), context)).toMatchObject({
      installed: { version: '1.1.0', state: 'pending' },
      attributes: { updateSlot: 0, otaState: 'pending-verify' },
    })
  })

  it('calls an image neither kept nor pending where the entry of its slot is void', async () => {
    const device = running('1.0.0')
    device.flash.erase(0xe000, 0x2000)
    device.flash.write(0xe000, encodeOtadataEntry(1, 'aborted'))
    const { installed } = await driver.probe(flashPort(device), context)
    expect(installed).toMatchObject({ version: '1.0.0' })
    expect(installed).not.toHaveProperty('state')
  })
})

describe('an image that failed its self-test', () => {
  it('is not taken for one that was kept, though the bootloader falls back to it', async () => {
    const device = running('1.0.0')
    const plan = await update(device, appImage('1.1.0'))
    device.boot()
    expect(versionOf(device)).toBe('1.0.0')
    // The image that was good rots: nothing else boots then.
    const rotten = device.partitions.find(({ label }) => label === 'ota_0') as { offset: number }
    device.flash.erase(rotten.offset, 0x1000)
    device.boot()
    expect(versionOf(device)).toBe('1.1.0')
    const port = flashPort(device)
    expect(await driver.confirm(plan, port, context)).toMatchObject({ by: 'report', report: { state: 'failed', code: 'SELF_TEST_FAILED' } })
    expect((await driver.probe(port, context)).installed).toEqual({ version: '1.1.0', digest: plan.digest })
    expect(device.state()).toMatchObject({ installed: { version: '1.1.0', state: 'pending' } })

    // Its self-test passes after all, and it selects itself.
    const repaired = running('1.0.0', { flash: memoryFlash(0x40_0000) })
    await update(repaired, appImage('1.1.0'))
    repaired.boot()
    repaired.flash.erase(rotten.offset, 0x1000)
    repaired.boot()
    repaired.markValid()
    repaired.boot()
    expect(repaired.state()).toMatchObject({ installed: { version: '1.1.0', state: 'confirmed' } })

    await update(device, appImage('1.2.0'))
    device.markValid()
    device.boot()
    expect(versionOf(device)).toBe('1.2.0')
    expect(device.state()).toMatchObject({ installed: { state: 'confirmed' } })
  })
})
