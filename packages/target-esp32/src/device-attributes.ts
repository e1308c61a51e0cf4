import { type DeviceState, isOtaError, type Reason } from '@reflash/core'
import { fail } from './esp32-errors.ts'
import { type JsonFields, jsonFields } from './json-fields.ts'

/**
 * What an ESP32 may say of itself in `DeviceState.attributes`. Each is optional: a plan checks against what is known. Other attributes are
 * the user's own and ignored.
 */
export type Esp32Attributes = {
  /** Major * 100 + minor. */
  readonly chipRevision?: number
  /** Major * 100 + minor. */
  readonly efuseBlockRevision?: number
  /** Security version burned into eFuse; absent where the device has no anti-rollback. */
  readonly secureVersion?: number
  readonly secureBoot?: 'none' | 'v1' | 'v2'
  /** Number of OTA slots in the partition table. */
  readonly otaSlots?: number
  /** Bytes of the slot that an update goes into. */
  readonly slotBytes?: number
  /** Number and flash offset of that slot: only a driver that read the flash knows them, and its plan is bound to them. */
  readonly updateSlot?: number
  readonly updateSlotOffset?: number
  /** State of the running image in otadata. */
  readonly otaState?: 'new' | 'pending-verify' | 'valid' | 'undefined'
}

const readers: { readonly [K in keyof Esp32Attributes]-?: (fields: JsonFields) => Esp32Attributes[K] | undefined } = {
  chipRevision: (fields) => fields.optionalInteger('chipRevision', 0xffff),
  efuseBlockRevision: (fields) => fields.optionalInteger('efuseBlockRevision', 0xffff),
  secureVersion: (fields) => fields.optionalInteger('secureVersion', 0xffff_ffff),
  secureBoot: (fields) => fields.optionalOneOf('secureBoot', ['none', 'v1', 'v2']),
  otaSlots: (fields) => fields.optionalInteger('otaSlots', 16),
  slotBytes: (fields) => fields.optionalInteger('slotBytes', 0xffff_ffff),
  updateSlot: (fields) => fields.optionalInteger('updateSlot', 15),
  updateSlotOffset: (fields) => fields.optionalInteger('updateSlotOffset', 0xffff_ffff),
  otaState: (fields) => fields.optionalOneOf('otaState', ['new', 'pending-verify', 'valid', 'undefined']),
}

/** Reads the attributes of a device; what has the wrong type is left out and becomes a reason `ESP32_ATTRIBUTE_INVALID`. */
export function readAttributes({ attributes = {} }: DeviceState): { readonly known: Esp32Attributes; readonly reasons: readonly Reason[] } {
  const fields = jsonFields(attributes, (message) => fail('ESP32_ATTRIBUTE_INVALID', `attribute ${message}`))
  const known: Record<string, unknown> = {}
  const reasons: Reason[] = []
  for (const [name, read] of Object.entries(readers)) {
    try {
      const value = read(fields)
      if (value !== undefined) known[name] = value
    } catch (error) {
      if (!isOtaError(error)) throw error
      reasons.push(...error.because)
    }
  }
  return { known: known as Esp32Attributes, reasons }
}
