import {
  type DeviceState,
  type Driver,
  digestAlgorithm,
  type FlashPort,
  type HeldImage,
  type Observation,
  type RunContext,
  throwIfAborted,
} from '@reflash/core'
import type { Esp32Attributes } from '../device-attributes.ts'
import { fail } from '../esp32-errors.ts'
import type { Esp32Plan } from '../esp32-plan.ts'
import { slotNumber } from './boot-order.ts'
import { type FlashLayout, readLayout } from './flash-layout.ts'
import { flashSectorBytes } from './flash-sector.ts'
import { noSequence, type OtaState, slotOfSequence } from './otadata.ts'
import { isOtaSlot, type Partition } from './partition-table.ts'
import { type ReadBack, readBack } from './read-back.ts'
import { deselect, select, settle } from './switch-slot.ts'
import { writeImage } from './write-image.ts'

export interface FlashDriverOptions {
  readonly partitionTableOffset: number
  /** Whether the bootloader of the devices was built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE. */
  readonly rollback: boolean
}

/**
 * Drives A/B updates through raw flash. The commit point is the otadata entry that `install` writes: before it the device starts the old
 * image whatever happens, from it on the new one; an abort is heeded before it and ignored while it is written.
 */
export function flashDriver(options: FlashDriverOptions): Driver<FlashPort, Esp32Plan> {
  const layoutOf = (port: FlashPort, context: RunContext): Promise<FlashLayout> => readLayout(port, options.partitionTableOffset, context)
  return Object.freeze<Driver<FlashPort, Esp32Plan>>({
    async probe(port, context) {
      return stateOf(port, await layoutOf(port, context))
    },
    async deliver(plan, image, port, context) {
      return await deliver(plan, image, port, await layoutOf(port, context), context)
    },
    async install(plan, port, context) {
      return await install(plan, port, await layoutOf(port, context), options.rollback ? 'new' : 'undefined', context)
    },
    async confirm(plan, port, context) {
      return await confirm(plan, port, await layoutOf(port, context), context)
    },
    async rollback(plan, port, context) {
      const layout = await layoutOf(port, context)
      const { running } = layout
      // What does not run cannot be rolled back from: the bootloader was faster.
      if (running === undefined || !isOtaSlot(running.partition) || !(await runs(layout, plan, port, context))) return
      await deselect(port, layout, running.partition, context)
      await port.reset(context)
    },
  })
}

function stateOf(port: FlashPort, layout: FlashLayout): DeviceState {
  const { running, update, slots } = layout
  const otaState = stateOfRunning(layout)
  const attributes: Esp32Attributes = {
    otaSlots: slots.length,
    ...(update === undefined ? {} : { slotBytes: update.sizeBytes, updateSlot: slotNumber(update), updateSlotOffset: update.offset }),
    ...(otaState === 'new' || otaState === 'pending-verify' || otaState === 'valid' || otaState === 'undefined' ? { otaState } : {}),
  }
  if (running === undefined) return { id: port.deviceId, attributes }
  const { chip, digest, description } = running.image
  const installed = {
    version: description?.version ?? '',
    ...(digest === undefined ? {} : { digest }),
    // A dismissed image is neither: it must not count as kept, nor stand in the way of the update that repairs the device.
    ...(isDismissed(layout) ? {} : { state: isPending(otaState) ? ('pending' as const) : ('confirmed' as const) }),
  }
  return { id: port.deviceId, model: chip, installed, attributes }
}

/** The state that otadata has for the slot that runs; undefined for the factory image and for a slot that no entry names. */
function stateOfRunning({ running, otadata, active, slots }: FlashLayout): OtaState | undefined {
  if (running === undefined || !isOtaSlot(running.partition)) return undefined
  const number = slotNumber(running.partition)
  const order = active === 1 ? [otadata[1], otadata[0]] : otadata
  return order.find(({ selectable, sequence }) => selectable && slotOfSequence(sequence, slots.length) === number)?.state
}

/**
 * Whether the slot that runs is one that the bootloader was told to leave, because its self-test failed or never ended: it falls back to such
 * a slot where nothing else boots, and that it runs does not make it good.
 */
function isDismissed(layout: FlashLayout): boolean {
  const { running, otadata, slots } = layout
  if (running === undefined || !isOtaSlot(running.partition) || stateOfRunning(layout) !== undefined) return false
  const number = slotNumber(running.partition)
  return otadata.some(
    ({ sequence, state }) =>
      (state === 'invalid' || state === 'aborted') && sequence !== noSequence && slotOfSequence(sequence, slots.length) === number,
  )
}

function isPending(state: OtaState | undefined): boolean {
  return state === 'new' || state === 'pending-verify'
}

async function deliver(plan: Esp32Plan, image: HeldImage, port: FlashPort, found: FlashLayout, context: RunContext): Promise<Observation> {
  expectPlannedImage(plan, image)
  expectChip(plan, found)
  const running = found.running?.partition
  // A run that broke after the switch: the image is where it should be, and the slot beside it holds the way back.
  if (running !== undefined && (await runs(found, plan, port, context))) return await readPlanned(running, plan, port, context)
  if (isPending(stateOfRunning(found))) {
    throw fail('UPDATE_PENDING', `${running?.label}: expected a running image that was kept, found one that waits for its self-test`)
  }
  const target = targetOf(plan, found)
  await settle(port, found, context)
  await writeImage(port, target, image, context)
  return await readPlanned(target, plan, port, context)
}

async function install(plan: Esp32Plan, port: FlashPort, layout: FlashLayout, state: OtaState, context: RunContext): Promise<Observation> {
  expectChip(plan, layout)
  const installed: Observation = { by: 'report', report: { state: 'installed' } }
  const running = layout.running?.partition
  const isThere = running !== undefined && (await runs(layout, plan, port, context))
  const seen = stateOfRunning(layout)
  // Done before. A second reset would take an image that is testing itself for one that failed.
  if (isThere && (seen === 'pending-verify' || seen === 'valid' || !isOtaSlot(running))) return installed
  // Selected before. Whether the reset came as well shows only where the bootloader changes the state; without rollback it does no harm again.
  if (!isThere || (seen !== 'new' && seen !== 'undefined')) {
    // On a blank device the bootloader starts whatever slot is whole: even so it is to be selected, and tested.
    const slot = isThere ? running : targetOf(plan, layout)
    await expectContent(plan, slot, port, context)
    await select(port, layout, slot, state, context)
  }
  await port.reset(context)
  return installed
}

async function expectContent(plan: Esp32Plan, slot: Partition, port: FlashPort, context: RunContext): Promise<void> {
  const found = await readPlanned(slot, plan, port, context)
  if (isPlanned(plan, found)) return
  const expected = `${plan.sizeBytes} bytes, CRC-32 ${plan.crc32}, ${plan.digest}`
  throw fail('SLOT_CONTENT', `${slot.label}: expected ${expected}; found ${found.size} bytes, CRC-32 ${found.crc32}, ${found.digest}`)
}

async function confirm(plan: Esp32Plan, port: FlashPort, layout: FlashLayout, context: RunContext): Promise<Observation> {
  const { running } = layout
  if (running === undefined) {
    return { by: 'report', report: { state: 'failed', code: 'UNBOOTABLE', messages: ['no slot holds an image that boots'] } }
  }
  if (!(await runs(layout, plan, port, context))) {
    return { by: 'report', report: { state: 'rolled-back', messages: [`the device starts ${running.partition.label}`] } }
  }
  if (isDismissed(layout)) {
    const messages = [`${running.partition.label} failed its self-test, and runs because nothing else boots`]
    return { by: 'report', report: { state: 'failed', code: 'SELF_TEST_FAILED', messages } }
  }
  const state = isPending(stateOfRunning(layout)) ? 'pending' : 'confirmed'
  return { by: 'check-in', installed: { version: plan.appVersion, digest: plan.digest, state } }
}

/** Whether the partition that the bootloader starts holds, byte for byte, the planned image. */
async function runs({ running }: FlashLayout, plan: Esp32Plan, port: FlashPort, context: RunContext): Promise<boolean> {
  if (running === undefined || running.partition.sizeBytes < plan.sizeBytes) return false
  const { digest, description } = running.image
  if (digest !== undefined && digestAlgorithm(plan.digest) === 'sha256') return digest === plan.digest
  // Where flash does not tell: the version spares reading the whole slot again.
  if ((description?.version ?? '') !== plan.appVersion) return false
  return isPlanned(plan, await readPlanned(running.partition, plan, port, context))
}

async function readPlanned(slot: Partition, plan: Esp32Plan, port: FlashPort, context: RunContext): Promise<ReadBack> {
  const { md5, sizeBytes, crc32, digest } = plan
  if (md5 !== undefined && port.md5 !== undefined) {
    throwIfAborted(context.signal)
    // Reading a slot over a cable takes minutes. MD5 does: what is looked for is damage, and the bytes that were sent were verified.
    const found = Buffer.from(await port.md5(slot.offset, sizeBytes, context)).toString('hex')
    if (found === md5) return { by: 'read-back', digest, size: sizeBytes, crc32 }
  }
  return await readBack(port, slot.offset, plan.sizeBytes, digestAlgorithm(plan.digest), context)
}

function isPlanned(plan: Esp32Plan, { size, crc32, digest }: ReadBack): boolean {
  return size === plan.sizeBytes && crc32 === plan.crc32 && digest === plan.digest
}

/** @throws `IMAGE_OTHER_THAN_PLANNED` */
export function expectPlannedImage({ digest, sizeBytes, crc32 }: Esp32Plan, { descriptor, crc32: found }: HeldImage): void {
  if (descriptor.digest === digest && descriptor.size === sizeBytes && found === crc32) return
  const shown = `${descriptor.size} bytes, CRC-32 ${found}, ${descriptor.digest}`
  throw fail('IMAGE_OTHER_THAN_PLANNED', `expected ${sizeBytes} bytes, CRC-32 ${crc32}, ${digest}; found ${shown}`)
}

function expectChip({ chip }: Esp32Plan, { running }: FlashLayout): void {
  const found = running?.image.chip
  if (found !== undefined && found !== chip)
    throw fail('WRONG_CHIP', `expected a device with ${chip}, found one that runs an image for ${found}`)
}

function targetOf({ slot, sizeBytes }: Esp32Plan, { update, running }: FlashLayout): Partition {
  if (update === undefined) throw fail('NO_SECOND_SLOT', `expected a slot beside ${running?.partition.label ?? 'none'}, found none`)
  const found = { number: slotNumber(update), offset: update.offset, sizeBytes: update.sizeBytes }
  if (slot !== undefined && (slot.number !== found.number || slot.offset !== found.offset || slot.sizeBytes !== found.sizeBytes)) {
    throw fail(
      'SLOT_CHANGED',
      `expected to update ota_${slot.number} at ${slot.offset}, the device would update ota_${found.number} at ${found.offset}`,
    )
  }
  const needed = Math.ceil(sizeBytes / flashSectorBytes) * flashSectorBytes
  if (needed > update.sizeBytes) {
    throw fail(
      'IMAGE_LARGER_THAN_SLOT',
      `${update.label}: expected at most ${update.sizeBytes} bytes, found ${sizeBytes}, ${needed} in whole sectors`,
    )
  }
  return update
}
