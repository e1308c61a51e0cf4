import type { Planned } from '../update/device-line.ts'

/** What the last check-in of a device that does not report was told: its next download is of exactly that. */
export interface Pin {
  readonly planned: Planned
  readonly seq: number
}

/** A pin is a few references; the oldest goes where more devices than this ask between two downloads, and is then computed again. */
const keptPins = 100_000

export interface Pins {
  get(deviceId: string): Pin | undefined
  set(deviceId: string, pin: Pin): void
}

export function createPins(): Pins {
  const pins = new Map<string, Pin>()
  return {
    get: (deviceId) => pins.get(deviceId),
    set: (deviceId, pin) => {
      // Deleted first, so that the order of the map is that of use.
      pins.delete(deviceId)
      if (pins.size >= keptPins) pins.delete(pins.keys().next().value as string)
      pins.set(deviceId, pin)
    },
  }
}
