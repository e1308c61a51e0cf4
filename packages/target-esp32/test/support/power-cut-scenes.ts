import assert from 'node:assert/strict'
import { type CutTable, everyCut, type PowerSupply } from '@reflash/core/testing'
import { virtualEsp32 } from '../../src/testing/index.ts'
import {
  type Board,
  bytesOf,
  flashOf,
  imageOf,
  type Machine,
  newBoard,
  powerOn,
  provisioned,
  type Setting,
  type Step,
  seen,
  takeBack,
  type Witness,
  write,
} from './power-cut-board.ts'

export interface SceneResult extends CutTable {
  /**
   * Of the cuts those inside what ESP-IDF writes by itself, after which the bootloader starts an image again that was never kept: no update
   * code can help that, and the image can still be taken back.
   */
  readonly espIdf: number
}

/** What the tests take, and at length. */
export interface Torture {
  readonly seeds: readonly number[]
  /** After each cut both ways to go on: with the stored plan, and with a new one. In turns where absent. */
  readonly thorough?: boolean
}

/** The lives that are cut: an image that never keeps itself, two updates, one that is taken back; then both again, and the other way. */
export const shortLife: readonly Step[] = [
  { version: '1.0.1', ends: 'never kept' },
  { version: '1.1.0', ends: 'kept' },
  { version: '1.2.0', ends: 'kept' },
  { version: '1.3.0', ends: 'taken back' },
]
export const longLife: readonly Step[] = [
  ...shortLife,
  { version: '1.4.0', ends: 'never kept' },
  { version: '1.5.0', ends: 'given up' },
  { version: '1.6.0', ends: 'kept' },
]

export const settings: readonly Omit<Setting, 'imageBytes' | 'writer'>[] = [
  { table: 'two slots', rollback: true },
  { table: 'two slots', rollback: false },
  { table: 'factory and two slots', rollback: true },
  { table: 'factory and two slots', rollback: false },
]

/** Images of three sectors. */
export const smallBytes = 9 * 1024

/** One step from one state of the flash, and what it has to lead to. */
interface Scene extends Setting {
  readonly start: Uint8Array
  readonly old: string
  readonly step: Step
}

/** The update, and what becomes of it. */
async function take(scene: Scene, board: Board, machine: Machine, witness?: Witness): Promise<void> {
  const { rollback, old, step } = scene
  await write(scene, board, machine, imageOf(step.version, scene.imageBytes), () => witness?.boots(step.version))
  assert.equal(machine.running().version, step.version, 'after its installation the new image runs')
  if (machine.running().pendingVerify) {
    witness?.boots(old)
    assert.equal((await seen(scene, board, machine)) ?? 'pending', 'pending')
    if (step.ends === 'kept' || step.ends === 'taken back') {
      board.kept = true
      machine.espIdf(machine.device.markValid)
    }
  }
  if (!machine.running().pendingVerify) {
    witness?.boots(step.version)
    assert.equal((await seen(scene, board, machine)) ?? 'confirmed', 'confirmed')
  }
  if (step.ends === 'kept') return
  witness?.boots(old, 1)
  // An image that does not keep itself hangs, and its watchdog resets the chip.
  if (step.ends === 'never kept' && rollback) machine.espIdf(() => void machine.device.boot())
  else await takeBack(scene, board, machine)
  assert.equal(machine.running().version, old, 'the old image runs again')
  assert.equal((await seen(scene, board, machine)) ?? 'rolled-back', 'rolled-back')
}

/** What must boot after so many operations, and which of them are ESP-IDF's own. */
interface Timeline {
  readonly boots: { readonly from: number; readonly version: string }[]
  readonly espIdf: { readonly from: number; readonly to: number }[]
}

function witnessOf(power: PowerSupply, { boots, espIdf }: Timeline, { old, rollback }: Scene): Witness {
  return {
    boots: (version, after = 0) => {
      boots.push({ from: power.operations.length + after, version })
    },
    espIdf(act) {
      const from = power.operations.length
      act()
      const to = power.operations.length
      espIdf.push({ from, to })
      // An entry that is rewritten counts no longer from its first erase on.
      if (rollback && to > from) boots.push({ from: from + 1, version: old })
    },
  }
}

/** Cuts every step of an update's life everywhere, each from where the one before ended. */
export async function cutSteps(setting: Setting, steps: readonly Step[], torture: Torture): Promise<SceneResult> {
  const all = { operations: 0, cuts: 0, torn: 0, unbootable: 0, espIdf: 0 }
  const failures: SceneResult['failures'][number][] = []
  let start = provisioned(setting)
  let old = '1.0.0'
  for (const step of steps) {
    const scene: Scene = { ...setting, start, old, step }
    const found = await cutStep(scene, torture)
    for (const key of ['operations', 'cuts', 'torn', 'unbootable', 'espIdf'] as const) all[key] += found[key]
    failures.push(...found.failures.map((failure) => ({ ...failure, message: `${step.version} (${step.ends}): ${failure.message}` })))
    const board = newBoard(start)
    await take(scene, board, powerOn(scene, board, undefined, undefined))
    start = bytesOf(board.flash)
    if (step.ends === 'kept') old = step.version
  }
  return { ...all, failures }
}

async function cutStep(scene: Scene, { seeds, thorough = false }: Torture): Promise<SceneResult> {
  const timeline: Timeline = { boots: [{ from: 0, version: scene.old }], espIdf: [] }
  const bootsAt = (operations: number): string => timeline.boots.findLast(({ from }) => from <= operations)?.version as string
  const again = new Set<Board>()
  let isFirst = true
  let turn = 0
  const table = await everyCut<Board>({
    seeds,
    start: () => newBoard(scene.start),
    async run(board, power) {
      const witness = isFirst ? witnessOf(power, timeline, scene) : undefined
      isFirst = false
      await take(scene, board, powerOn(scene, board, power, witness), witness)
    },
    check(board, { mode, operation }) {
      const isInside = mode !== 'before' && mode !== 'after'
      const isEspIdf = isInside && timeline.espIdf.some(({ from, to }) => operation >= from && operation < to)
      const allowed = isEspIdf
        ? [scene.old, scene.step.version]
        : [...(mode === 'after' ? [] : [bootsAt(operation)]), ...(mode === 'before' ? [] : [bootsAt(operation + 1)])]
      const found = startOften(scene, board, allowed)
      if (found === 'started again') {
        if (!isEspIdf) throw new Error('an image that was never kept was started again')
        again.add(board)
      }
      return found !== 'unbootable'
    },
    async again(board) {
      turn++
      const wasAgain = again.has(board)
      if (thorough || turn % 2 === 0) await tryAgain(scene, copyOf(board), wasAgain)
      if (thorough || turn % 2 === 1) await tryAgain(scene, { ...copyOf(board), plan: undefined }, wasAgain)
    },
  })
  return { ...table, espIdf: again.size }
}

const copyOf = (board: Board): Board => ({ ...board, flash: flashOf(bytesOf(board.flash)) })

/** Starts a copy of the board twice, with an image that never keeps itself. */
function startOften(scene: Scene, board: Board, allowed: readonly string[]): 'good' | 'unbootable' | 'started again' {
  const device = virtualEsp32({ chip: 'esp32s3', flash: flashOf(bytesOf(board.flash)), rollback: scene.rollback })
  let { starts } = board
  for (let time = 0; time < 2; time++) {
    const booted = time === 0 ? device.booted : device.boot()
    if (booted.is !== 'running') return 'unbootable'
    if (booted.version === scene.step.version) starts++
    if (scene.rollback && !board.kept && starts > 1) return 'started again'
    if (time === 0 && !allowed.includes(booted.version))
      throw new Error(`expected ${allowed.join(' or ')} to boot, found ${booted.version}`)
  }
  return 'good'
}

/** The power comes back: the device starts and does what its image does; then host and device take the step once more. */
async function tryAgain(scene: Scene, board: Board, wasAgain: boolean): Promise<void> {
  const { step, old } = scene
  const machine = powerOn(scene, board, undefined, undefined)
  const keeps = step.ends === 'kept' || step.ends === 'taken back'
  if (machine.running().pendingVerify) {
    if (keeps) machine.device.markValid()
    else machine.device.boot()
  }
  if (wasAgain && !keeps && machine.running().version === step.version) {
    await write(scene, board, machine, imageOf(step.version, scene.imageBytes), () => {})
    await takeBack(scene, board, machine)
  } else await take(scene, board, machine)
  const expected = step.ends === 'kept' ? step.version : old
  const { version, pendingVerify } = machine.running()
  assert.deepEqual({ version, pendingVerify }, { version: expected, pendingVerify: false })
  const restarted = machine.device.boot()
  assert.equal(restarted.is === 'running' && restarted.version, expected, 'after a restart')
  assert.equal(machine.device.flash.misuses, 0)
}
