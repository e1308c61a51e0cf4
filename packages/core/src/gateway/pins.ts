import { recentlyUsed } from '../catalog/recently-used.ts'
import type { Planned } from '../update/device-line.ts'

/** What the last check-in of a device that does not report was told: its next download is of exactly that. */
export interface Pin {
  readonly planned: Planned
  readonly seq: number
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
