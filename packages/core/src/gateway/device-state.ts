import { type DeviceRecord, knownVersion } from '../journey/device-record.ts'
import type { ReportedState } from '../journey/reported-state.ts'
import type { DeviceState } from '../plugin/device.ts'

/**
 * A device as it is known: what it says now, and what it said before. The version of an image that it was once seen to run is the one that
 * was confirmed: what is built into an image may be another name for it.
 */
export function deviceState(id: string, said: ReportedState, record: DeviceRecord): DeviceState {
  const { installed } = said
  // Nearly every check-in: nothing is known beside what is said.
  if (record.attributes === undefined && (installed?.digest === undefined || record.history.length === 0)) return { ...said, id }
  const version = knownVersion(record, installed?.digest)
  return {
    ...said,
    ...(record.attributes === undefined ? {} : { attributes: { ...record.attributes, ...said.attributes } }),
    ...(installed === undefined || version === undefined ? {} : { installed: { ...installed, version } }),
    id,
  }
}
