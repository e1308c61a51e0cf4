import type { Json } from '@reflash/core'
import { fail } from './esp32-errors.ts'
import { type ChipName, chips } from './image/chips.ts'
import type { ImageReport } from './image/inspect-image.ts'
import { jsonFields } from './json-fields.ts'

/** What an image says that a plan depends on: the `facts` of its ImageInfo. */
export type Esp32Facts = {
  readonly chip: ChipName
  readonly sizeBytes: number
  readonly crc32: number
  /** Hex; what a ROM loader can compute over flash. */
  readonly md5?: string
  readonly projectName: string
  readonly appVersion: string
  readonly secureVersion: number
  readonly minChipRevision: number
  readonly maxChipRevision?: number
  readonly minEfuseBlockRevision: number
  readonly maxEfuseBlockRevision?: number
  /** Scheme of the secure boot signature. */
  readonly signature?: 'v1' | 'v2'
}

/** The facts of a good application image. */
export function factsOf(report: ImageReport, md5?: string): Esp32Facts {
  const { maxChipRevision, maxEfuseBlockRevision, signature } = report
  return {
    chip: report.chip as ChipName,
    sizeBytes: report.sizeBytes,
    crc32: report.crc32,
    ...(md5 === undefined ? {} : { md5 }),
    projectName: report.projectName ?? '',
    appVersion: report.appVersion ?? '',
    secureVersion: report.secureVersion ?? 0,
    minChipRevision: report.minChipRevision ?? 0,
    ...(maxChipRevision === undefined ? {} : { maxChipRevision }),
    minEfuseBlockRevision: report.minEfuseBlockRevision ?? 0,
    ...(maxEfuseBlockRevision === undefined ? {} : { maxEfuseBlockRevision }),
    ...(signature === undefined ? {} : { signature: signature.scheme }),
  }
}

export const md5Pattern = /^[0-9a-f]{32}$/

/** @throws `ESP32_FACTS_INVALID` */
export function parseFacts(json: Json): Esp32Facts {
  const fields = jsonFields(json, (message) => fail('ESP32_FACTS_INVALID', `facts of an image: ${message}`))
  const maxChipRevision = fields.optionalInteger('maxChipRevision', 0xffff)
  const maxEfuseBlockRevision = fields.optionalInteger('maxEfuseBlockRevision', 0xffff)
  const md5 = fields.has('md5') ? fields.matching('md5', md5Pattern) : undefined
  const signature = fields.optionalOneOf('signature', ['v1', 'v2'])
  const facts: Esp32Facts = {
    chip: fields.oneOf('chip', chipNames),
    sizeBytes: fields.integer('sizeBytes', 0xffff_ffff),
    crc32: fields.integer('crc32', 0xffff_ffff),
    ...(md5 === undefined ? {} : { md5 }),
    projectName: fields.text('projectName'),
    appVersion: fields.text('appVersion'),
    secureVersion: fields.integer('secureVersion', 0xffff_ffff),
    minChipRevision: fields.integer('minChipRevision', 0xffff),
    ...(maxChipRevision === undefined ? {} : { maxChipRevision }),
    minEfuseBlockRevision: fields.integer('minEfuseBlockRevision', 0xffff),
    ...(maxEfuseBlockRevision === undefined ? {} : { maxEfuseBlockRevision }),
    ...(signature === undefined ? {} : { signature }),
  }
  fields.end()
  return facts
}

/** Every chip by name. */
export const chipNames: readonly ChipName[] = chips.map(({ name }) => name)
