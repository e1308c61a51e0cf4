import { recentlyUsed } from '../catalog/recently-used.ts'
import type { Snapshot } from '../catalog/tag-shelves.ts'
import type { UpdateDeployment } from '../journey/device-record.ts'
import type { ReportedState } from '../journey/reported-state.ts'
import type { CheckInAnswer } from '../plugin/gateway.ts'
import type { Planned } from '../update/device-line.ts'

/** What the last check-in of a device that does not report was told: its next download is of exactly that. */
export interface Pin {
  readonly planned: Planned
  readonly seq: number
  readonly deployment?: UpdateDeployment | undefined
  readonly answer: CheckInAnswer
  readonly asked: Question
}

/** All that the answer to a silent device depends on. */
export interface Question {
  readonly said: ReportedState
  readonly snapshot: Snapshot
  /** Of the device's record. */
  readonly version: string | null
}

export interface Pins {
  get(deviceId: string): Pin | undefined
  /** Undefined where it was told that there is nothing. */
  set(deviceId: string, pin: Pin | undefined): void
}

/** A pin is a few references; the oldest goes where more devices than this ask between two downloads, and is then computed again. */
const keptPins = 100_000
/** Devices download at once what they were told of; what is older than an hour is asked for anew, because it may have been taken back. */
const pinLifeMs = 3_600_000

export function createPins(clock: () => Date): Pins {
  const pins = recentlyUsed<{ readonly pin: Pin; readonly at: number }>(keptPins)
  return {
    get(deviceId) {
      const kept = pins.get(deviceId)
      const age = kept === undefined ? 0 : clock().getTime() - kept.at
      return age >= 0 && age < pinLifeMs ? kept?.pin : undefined
    },
    set(deviceId, pin) {
      if (pin === undefined) pins.delete(deviceId)
      else pins.set(deviceId, { pin, at: clock().getTime() })
    },
  }
}

/** Whether the answer to one question is the answer to the other: a fleet that asks every few seconds is planned for once per snapshot. */
export function sameQuestion(a: Question, b: Question): boolean {
  if (a.snapshot !== b.snapshot || a.version !== b.version || a.said.model !== b.said.model) return false
  const [one, other] = [a.said.installed, b.said.installed]
  if (one?.version !== other?.version || one?.digest !== other?.digest || one?.state !== other?.state) return false
  return a.said.attributes === undefined && b.said.attributes === undefined
}
