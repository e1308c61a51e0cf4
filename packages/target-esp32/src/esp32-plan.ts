import { type Descriptor, type DeviceState, type Digest, type ImageInfo, isDigest, type Json, OtaError, type Reason } from '@reflash/core'
import { type Esp32Attributes, readAttributes } from './device-attributes.ts'
import { type Esp32Code, esp32Errors, fail } from './esp32-errors.ts'
import { revision } from './image/check-image.ts'
import type { ChipName } from './image/chips.ts'
import { chipNames, type Esp32Facts, md5Pattern, parseFacts } from './image-facts.ts'
import { jsonFields } from './json-fields.ts'

/** What is to be installed, and, where the flash was read, in which slot. Stored as JSON; nothing in it depends on time. */
export type Esp32Plan = {
  readonly target: 'esp32'
  /** Of this format. */
  readonly version: 1
  readonly chip: ChipName
  readonly digest: Digest
  readonly sizeBytes: number
  readonly crc32: number
  /** Hex; lets a port that computes MD5 over flash verify without reading it all back. */
  readonly md5?: string
  /** Advisory, of the application descriptor. */
  readonly appVersion: string
  readonly slot?: { readonly number: number; readonly offset: number; readonly sizeBytes: number }
}

export interface PlanRules {
  /** The chips that are served. */
  readonly chips: readonly ChipName[]
  /** The chip of a device, where its model tells. */
  chipOf(device: DeviceState): ChipName | undefined
}

/**
 * Plans the update of one device, purely.
 * @throws the first reason's code, with every reason in `because`: `ESP32_ATTRIBUTE_INVALID`, `CHIP_NOT_SERVED`, `WRONG_CHIP`, `CHIP_REVISION`,
 * `EFUSE_BLOCK_REVISION`, `IMAGE_LARGER_THAN_SLOT`, `SECURE_VERSION_LOWER`, `SIGNATURE_REQUIRED`, `NO_SECOND_SLOT`, `UPDATE_PENDING`;
 * `ESP32_FACTS_INVALID` where the image was not inspected by this target
 */
export function planUpdate(device: DeviceState, image: ImageInfo, descriptor: Descriptor, rules: PlanRules): Esp32Plan {
  const facts = parseFacts(image.facts)
  if (facts.sizeBytes !== descriptor.size) {
    throw fail('ESP32_FACTS_INVALID', `facts of an image: expected ${descriptor.size} bytes as in its descriptor, found ${facts.sizeBytes}`)
  }
  const { known, reasons } = readAttributes(device)
  const because = [...reasons, ...refusals(device, known, facts, rules)]
  const first = because[0]
  if (first !== undefined) {
    const { fault } = esp32Errors[first.code as Esp32Code]
    throw new OtaError(first.code, fault, because.map(({ message }) => message).join('; '), { stage: 'plan', because })
  }
  const { updateSlot, updateSlotOffset, slotBytes } = known
  const slot =
    updateSlot === undefined || updateSlotOffset === undefined || slotBytes === undefined
      ? {}
      : { slot: { number: updateSlot, offset: updateSlotOffset, sizeBytes: slotBytes } }
  const { chip, sizeBytes, crc32, md5, appVersion } = facts
  return {
    target: 'esp32',
    version: 1,
    chip,
    digest: descriptor.digest,
    sizeBytes,
    crc32,
    ...(md5 === undefined ? {} : { md5 }),
    appVersion,
    ...slot,
  }
}

function refusals(device: DeviceState, known: Esp32Attributes, facts: Esp32Facts, rules: PlanRules): readonly Reason[] {
  const because: Reason[] = []
  const refuse = (code: Esp32Code, message: string): void => {
    because.push({ code, message })
  }
  const chip = rules.chipOf(device)
  if (!rules.chips.includes(facts.chip))
    refuse('CHIP_NOT_SERVED', `expected an image for ${rules.chips.join(', ')}, found one for ${facts.chip}`)
  if (chip !== undefined && chip !== facts.chip)
    refuse('WRONG_CHIP', `expected an image for ${chip} (model ${device.model}), found one for ${facts.chip}`)
  refuseRange('CHIP_REVISION', 'chip revision', known.chipRevision, facts.minChipRevision, facts.maxChipRevision, refuse)
  refuseRange(
    'EFUSE_BLOCK_REVISION',
    'eFuse block revision',
    known.efuseBlockRevision,
    facts.minEfuseBlockRevision,
    facts.maxEfuseBlockRevision,
    refuse,
  )
  const needed = Math.ceil(facts.sizeBytes / 4096) * 4096
  if (known.slotBytes !== undefined && needed > known.slotBytes) {
    refuse('IMAGE_LARGER_THAN_SLOT', `expected at most ${known.slotBytes} bytes, found ${facts.sizeBytes}, ${needed} in whole sectors`)
  }
  if (known.secureVersion !== undefined && facts.secureVersion < known.secureVersion) {
    refuse('SECURE_VERSION_LOWER', `expected a security version of at least ${known.secureVersion}, found ${facts.secureVersion}`)
  }
  if ((known.secureBoot === 'v1' || known.secureBoot === 'v2') && facts.signature !== known.secureBoot) {
    refuse('SIGNATURE_REQUIRED', `expected a signature for secure boot ${known.secureBoot}, found ${facts.signature ?? 'none'}`)
  }
  if (known.otaSlots !== undefined && known.otaSlots < 2 && known.updateSlot === undefined) {
    refuse('NO_SECOND_SLOT', `expected two OTA slots, found ${known.otaSlots}`)
  }
  if (known.otaState === 'pending-verify' || device.installed?.state === 'pending') {
    refuse('UPDATE_PENDING', 'expected a running image that the device has kept, found one that waits for its self-test (PENDING_VERIFY)')
  }
  return because
}

function refuseRange(
  code: Esp32Code,
  what: string,
  found: number | undefined,
  min: number,
  max: number | undefined,
  refuse: (code: Esp32Code, message: string) => void,
): void {
  if (found === undefined || (found >= min && (max === undefined || found <= max))) return
  refuse(
    code,
    `expected ${what} ${revision(min)}${max === undefined ? ' or newer' : ` to ${revision(max)}`}, the device has ${revision(found)}`,
  )
}

/** A stored plan back. @throws `ESP32_PLAN_INVALID` */
export function parsePlan(json: Json): Esp32Plan {
  const refuse = (message: string): Error => fail('ESP32_PLAN_INVALID', `stored plan: ${message}`)
  const fields = jsonFields(json, refuse)
  const slot = fields.within('slot')
  const digest = fields.text('digest')
  if (!isDigest(digest)) throw refuse('digest: expected a digest such as sha256:<64 hex digits>')
  const version = fields.integer('version')
  if (version !== 1) throw refuse(`version: expected 1, found ${version}`)
  const plan: Esp32Plan = {
    target: fields.oneOf('target', ['esp32']),
    version,
    chip: fields.oneOf('chip', chipNames as readonly [ChipName]),
    digest,
    sizeBytes: fields.integer('sizeBytes', 0xffff_ffff),
    crc32: fields.integer('crc32', 0xffff_ffff),
    ...(fields.has('md5') ? { md5: fields.matching('md5', md5Pattern) } : {}),
    appVersion: fields.text('appVersion'),
    ...(slot === undefined
      ? {}
      : {
          slot: {
            number: slot.integer('number', 15),
            offset: slot.integer('offset', 0xffff_ffff),
            sizeBytes: slot.integer('sizeBytes', 0xffff_ffff),
          },
        }),
  }
  slot?.end()
  fields.end()
  return plan
}
