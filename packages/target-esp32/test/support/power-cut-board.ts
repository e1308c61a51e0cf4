import assert from 'node:assert/strict'
import type { FlashPort, HeldImage, Json } from '@reflash/core'
import type { PowerSupply } from '@reflash/core/testing'
import { esp32Target, type Partition, twoOtaTable } from '../../src/index.ts'
import type { Booted } from '../../src/testing/boot-model.ts'
import { agentPort, flashPort, type NorFlash, type VirtualEsp32, virtualEsp32 } from '../../src/testing/index.ts'
import { norFlashOver } from '../../src/testing/nor-flash.ts'
import { context, heldImage } from './held-image.ts'
import { appImage } from './virtual-state.ts'

export type Writer = 'flash driver' | 'agent'
export type Table = 'two slots' | 'factory and two slots'

export interface Setting {
  readonly writer: Writer
  readonly table: Table
  readonly rollback: boolean
  readonly imageBytes: number
}

/** An update, and how it ends: the image keeps itself; it never does; it does, and is taken back; it is taken back before it could. */
export interface Step {
  readonly version: string
  readonly ends: 'kept' | 'never kept' | 'taken back' | 'given up'
}

const slotBytes = 0x1_0000
const flashBytes = 0x1_0000 + 3 * slotBytes

export function tableOf(table: Table): readonly Partition[] {
  const factory: Partition = { label: 'factory', type: 0, subtype: 0, offset: 0x1_0000 + 2 * slotBytes, sizeBytes: slotBytes }
  return [...twoOtaTable({ slotBytes }), ...(table === 'two slots' ? [] : [factory])]
}

/** A flash of its own with these bytes. */
export function flashOf(start: Uint8Array): NorFlash {
  const bytes = start.slice()
  return norFlashOver(
    {
      get: (offset, length) => bytes.slice(offset, offset + length),
      put: (offset, part) => bytes.set(part, offset),
      blank: (offset, length) => {
        bytes.fill(0xff, offset, offset + length)
      },
      close: () => {},
    },
    start.length,
  )
}

export const bytesOf = (flash: NorFlash): Uint8Array => flash.read(0, flash.sizeBytes)

const images = new Map<string, HeldImage>()

/** The same image for the same version. */
export function imageOf(version: string, sizeBytes: number): HeldImage {
  const key = `${version} ${sizeBytes}`
  const image = images.get(key) ?? heldImage(appImage(version, 'esp32s3', sizeBytes))
  images.set(key, image)
  return image
}

/** The bytes of a flash that runs 1.0.0, and keeps it. */
export function provisioned({ table, rollback, imageBytes }: Setting): Uint8Array {
  const flash = flashOf(new Uint8Array(flashBytes).fill(0xff))
  const device = virtualEsp32({ chip: 'esp32s3', flash, partitions: tableOf(table), rollback })
  device.provision(appImage('1.0.0', 'esp32s3', imageBytes), table === 'two slots' ? 0 : 'factory')
  device.boot()
  return bytesOf(flash)
}

/** What the host remembers and the world has seen of one board, whose power may go. */
export interface Board {
  readonly flash: NorFlash
  /** The plan of the step that is under way, as a journal keeps it. */
  plan: Json | undefined
  /** Whether its image began to keep itself. */
  kept: boolean
  /** How often its image was started before. */
  starts: number
}

export const newBoard = (bytes: Uint8Array): Board => ({ flash: flashOf(bytes), plan: undefined, kept: false, starts: 0 })

/** Told while a run goes on without a cut, to know what must boot when. */
export interface Witness {
  /** From so many operations on this boots. */
  boots(version: string, after?: number): void
  /** What ESP-IDF does by itself: its bootloader, and the functions by which an image keeps itself or gives up. */
  espIdf(act: () => void): void
}

/** A board with its power on. */
export interface Machine {
  readonly device: VirtualEsp32
  readonly port: FlashPort
  readonly running: () => Booted
  readonly espIdf: Witness['espIdf']
}

export function powerOn(setting: Setting, board: Board, power: PowerSupply | undefined, witness: Witness | undefined): Machine {
  const flash = power === undefined ? board.flash : power.flash(board.flash)
  const device = virtualEsp32({ chip: 'esp32s3', flash, rollback: setting.rollback })
  const port = flashPort(device)
  const espIdf = (act: () => void): void => (witness === undefined ? act() : witness.espIdf(act))
  const reset = async (): Promise<void> => {
    espIdf(() => void device.boot())
    const { booted } = device
    if (booted.is === 'running' && booted.pendingVerify) board.starts++
  }
  const running = (): Booted => {
    const { booted } = device
    assert(booted.is === 'running', 'nothing runs')
    return booted
  }
  return { device, running, espIdf, port: { ...port, deviceId: port.deviceId, reset, [Symbol.asyncDispose]: async () => {} } }
}

const driverOf = (rollback: boolean) => {
  const target = esp32Target({ rollback })
  const driver = target.drive?.flash
  assert(driver?.rollback !== undefined, 'a driver that takes back')
  return { target, driver: { ...driver, rollback: driver.rollback } }
}

/** Brings an image onto the board and starts it. A plan that is there already is gone on with. */
export async function write(setting: Setting, board: Board, machine: Machine, image: HeldImage, committed: () => void): Promise<void> {
  const { port, device } = machine
  const resetAfter: FlashPort = {
    ...port,
    deviceId: port.deviceId,
    reset: async (now) => {
      committed()
      await port.reset(now)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  if (setting.writer === 'agent') {
    if (machine.device.state().installed?.digest === image.descriptor.digest) return
    const agent = agentPort(device)
    const { size, digest } = image.descriptor
    const { offset } = await agent.begin({ digest, size }, context)
    for await (const chunk of image.open({ offset, length: size - offset })) {
      for (let at = 0; at < chunk.length; at += 3000) await agent.write(offset + at, chunk.subarray(at, at + 3000), context)
    }
    await agent.activate(context)
    await resetAfter.reset(context)
    return
  }
  const { target, driver } = driverOf(setting.rollback)
  board.plan ??= target.plan(await driver.probe(port, context), await target.inspect(image, context), image.descriptor)
  const plan = target.parsePlan(JSON.parse(JSON.stringify(board.plan)))
  const read = await driver.deliver(plan, image, port, context)
  assert.deepEqual([read.by, read.by === 'read-back' && read.digest], ['read-back', image.descriptor.digest])
  assert.deepEqual(await driver.install(plan, resetAfter, context), { by: 'report', report: { state: 'installed' } })
}

/** The host, or the image itself where there is no host with a cable, goes back to the image before. */
export async function takeBack(setting: Setting, board: Board, machine: Machine): Promise<void> {
  if (setting.writer === 'agent') return machine.espIdf(() => void machine.device.markInvalidAndRollback())
  const { target, driver } = driverOf(setting.rollback)
  assert(board.plan !== undefined, 'a plan')
  await driver.rollback(target.parsePlan(board.plan), machine.port, context)
}

/** What the host sees of the update, where it has a cable. */
export async function seen(setting: Setting, board: Board, machine: Machine): Promise<string | undefined> {
  if (setting.writer === 'agent') return undefined
  const { target, driver } = driverOf(setting.rollback)
  assert(board.plan !== undefined, 'a plan')
  const found = await driver.confirm(target.parsePlan(board.plan), machine.port, context)
  return found.by === 'check-in' ? found.installed.state : found.by === 'report' ? found.report.state : found.by
}
