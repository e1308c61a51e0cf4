import { type AgentPort, coreError, digestOf, type FlashPort, isDigest, type Target } from '@reflash/core'
import type { Bench, Boots, TargetInstance } from '@reflash/core/conformance'
import { memoryDevice, memoryTarget } from '@reflash/core/testing'
import { flashBoard } from './flash-board.ts'
import { type BoardPlan, flashBoardDriver } from './flash-board-driver.ts'

const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const old = text(`board board\n1.0.0\n${'old '.repeat(20)}`)
const good = text(`board board\n1.1.0\n${'good '.repeat(20)}`)
// On flash an image takes more than one block, so that a delivery can break in its middle.
const oldOnFlash = text(`board board\n1.0.0\n${'old '.repeat(1_100)}`)
const goodOnFlash = text(`board board\n1.1.0\n${'good '.repeat(1_100)}`)

function bootsOf(digest: string | undefined, images: Readonly<Record<'old' | 'good', Uint8Array>>): Boots {
  if (digest === undefined) return 'none'
  if (digest === digestOf(images.old)) return 'old'
  return digest === digestOf(images.good) ? 'good' : 'other'
}

/** A memory device on the bench: it goes back where its power is cut before it has kept what it runs. */
export function agentBench(images = { old, good }): Bench<AgentPort> {
  const device = memoryDevice({ id: 'board-1', runs: images.old })
  const port = device.port()
  const runs = async (): Promise<Boots> => bootsOf(device.running && digestOf(device.running), images)
  return {
    port,
    runs,
    async boot() {
      await port.rollback()
      return runs()
    },
    async keep() {
      const context = { signal: new AbortController().signal, now: new Date(0) }
      await port.status(context)
      await port.status(context)
    },
  }
}

function flashBench(): Bench<FlashPort> {
  const board = flashBoard(oldOnFlash)
  const runs = async (): Promise<Boots> => bootsOf(board.running, { old: oldOnFlash, good: goodOnFlash })
  return {
    port: board.port,
    runs,
    async boot() {
      board.boot()
      return runs()
    },
    keep: async () => board.keep(),
  }
}

const facts: Omit<TargetInstance, 'plugin' | 'images' | 'flash' | 'agent' | 'dispose'> = {
  device: { id: 'board-1', model: 'board' },
  foreign: { id: 'other-1', model: 'other' },
  refuses: [
    { name: 'an image for another board', image: text('board bored\n1.1.0') },
    { name: 'another board, and too large', image: text(`board bored\n1.1.0\n${'x'.repeat(1 << 20)}`), reasons: 2 },
  ],
}
const bad = [{ name: 'no board', bytes: text('bread') }]

/** The memory target with everything that its suite wants to know. */
export async function memoryTargetInstance(): Promise<TargetInstance> {
  return { ...facts, plugin: memoryTarget('board'), images: { old, good, bad }, agent: async () => agentBench(), dispose: async () => {} }
}

/** The memory target with a driver for raw flash instead of one for an agent. */
export function flashBoardTarget(driver = flashBoardDriver()): Target<BoardPlan> {
  const target = memoryTarget('board')
  return Object.freeze<Target<BoardPlan>>({
    ...target,
    name: 'flash-board',
    parsePlan: (facts) => {
      const { size } = (facts ?? {}) as Partial<BoardPlan>
      if (!Number.isSafeInteger(size) || !isDigest((facts as BoardPlan).digest))
        throw coreError('FACTS_CORRUPT', 'expected a plan of the flash board')
      return { ...target.parsePlan(facts), size: size as number }
    },
    plan: (device, info, descriptor) => ({ ...target.plan(device, info, descriptor), size: descriptor.size }),
    drive: Object.freeze({ flash: driver }),
  })
}

/** The flash board with everything that its suite wants to know. */
export async function flashBoardInstance(): Promise<TargetInstance> {
  const images = { old: oldOnFlash, good: goodOnFlash, bad }
  return { ...facts, plugin: flashBoardTarget(), images, flash: async () => flashBench(), dispose: async () => {} }
}

/** The memory target with a driver for each port. */
export async function boardInstance(): Promise<TargetInstance> {
  const instance = await flashBoardInstance()
  const { plugin, images } = instance
  const drive = Object.freeze({ ...plugin.drive, ...memoryTarget('board').drive })
  return { ...instance, plugin: Object.freeze({ ...plugin, drive }), agent: async () => agentBench(images) }
}
