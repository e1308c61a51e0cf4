import type { Measurement } from '@reflash/core'

/** What a measurement is of; a member that is absent matches anything. TCG DICE; draft-ietf-rats-corim. */
export interface Environment {
  readonly vendor?: string
  readonly model?: string
  /** The number of TcbInfo, or the name that `layerNames` gives it. */
  readonly layer?: number | string
  readonly index?: number
  /** Text, or lower case hex of what is no text. */
  readonly type?: string
}

/** The members of an environment. */
export const environmentMembers = ['vendor', 'model', 'layer', 'index', 'type'] as const

/** What one layer of a device is called: the members that it states, the layer by number and by name. */
export interface LayerEnvironment {
  readonly vendor?: string
  readonly model?: string
  readonly layer?: number
  readonly layerName?: string
  readonly index?: number
  readonly type?: string
  readonly typeHex?: string
}

/** Whether an environment means this layer: every member that it states is the layer's. A member that nobody knows matches nothing. */
export function meansLayer(wanted: Measurement['environment'] | Environment, layer: LayerEnvironment): boolean {
  return Object.entries(wanted).every(([member, value]) => {
    if (value === undefined) return true
    switch (member) {
      case 'vendor':
      case 'model':
      case 'index':
        return layer[member] === value
      case 'layer':
        return layer.layer === value || (layer.layerName !== undefined && layer.layerName === value)
      case 'type':
        return value === layer.type || value === layer.typeHex
      default:
        return false
    }
  })
}

/** The environment as a measurement tells it. */
export function environmentOf({ vendor, model, layer, layerName, index, type, typeHex }: LayerEnvironment): Measurement['environment'] {
  const told = { vendor, model, layer: layerName ?? layer, index, type: type ?? typeHex }
  return Object.fromEntries(Object.entries(told).filter((entry): entry is [string, string | number] => entry[1] !== undefined))
}

/** The environment in words, for a reason. */
export function wordsOf(layer: LayerEnvironment): string {
  const members = Object.entries(environmentOf(layer))
  return members.length === 0 ? 'an unnamed layer' : members.map(([member, value]) => `${member} ${value}`).join(', ')
}
