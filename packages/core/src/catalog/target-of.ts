import { fail } from '../core-errors.ts'
import type { Device } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import { quoted } from '../update/quoted.ts'

/** The target that a device is of. @throws `TARGET_UNKNOWN`, `TARGET_AMBIGUOUS` */
export function targetOf(device: Device, targets: readonly Target[]): Target {
  // A single target serves every device: its plan says what it cannot run.
  const fitting = targets.length === 1 ? targets : targets.filter((target) => target.matches(device))
  const [only] = fitting
  if (only !== undefined && fitting.length === 1) return only
  const names = (fitting.length === 0 ? targets : fitting).map(({ name }) => name).join(', ')
  const model = device.model === undefined ? 'an unknown model' : `model ${quoted(device.model)}`
  if (only === undefined) throw fail('TARGET_UNKNOWN', `device ${device.id}: expected a target for ${model}, found ${names}`)
  throw fail('TARGET_AMBIGUOUS', `device ${device.id}: expected one target for ${model}, found ${names}; the device must say its model`)
}
