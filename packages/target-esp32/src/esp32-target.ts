import { createHash, type Hash } from 'node:crypto'
import {
  type ByteStream,
  collect,
  coreError,
  type DeviceState,
  digestAlgorithm,
  digestHex,
  type HeldImage,
  type Measurement,
  type Platform,
  type RunContext,
  type Target,
  throwIfAborted,
} from '@reflash/core'
import { agentDriver } from './agent-driver.ts'
import { fail } from './esp32-errors.ts'
import { type Esp32Plan, parsePlan, planUpdate } from './esp32-plan.ts'
import { flashDriver } from './flash/flash-driver.ts'
import { defaultPartitionTableOffset } from './flash/partition-table.ts'
import { appDescriptionBytes, parseAppDescription } from './image/app-description.ts'
import { type ChipName, chipOfModel } from './image/chips.ts'
import { headerBytes, parseImageHeader } from './image/image-header.ts'
import { inspectImage } from './image/inspect-image.ts'
import { chipNames, factsOf } from './image-facts.ts'

export interface Esp32TargetOptions {
  /** The chips that are served; all where absent. */
  readonly chips?: readonly ChipName[]
  /** Chips of models that do not name theirs, as `{ 'sensor-2': 'esp32s3' }`. */
  readonly models?: Readonly<Record<string, ChipName>>
  /** Whether the bootloaders were built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE; true where absent. */
  readonly rollback?: boolean
  /** CONFIG_PARTITION_TABLE_OFFSET of the devices; 0x8000 where absent. */
  readonly partitionTableOffset?: number
}

/**
 * Makes the target for the ESP32 family: it inspects, plans and measures images, and drives A/B updates through raw
 * flash, or through an agent on the device.
 * @throws `INVALID_OPTIONS`
 */
export function esp32Target(options: Esp32TargetOptions = {}): Target<Esp32Plan> {
  const { rollback = true, partitionTableOffset = defaultPartitionTableOffset } = options
  const chips = [...(options.chips ?? chipNames)]
  const models = new Map(Object.entries(options.models ?? {}))
  expectOptions(chips, models, partitionTableOffset)
  const chipOf = ({ model }: Pick<DeviceState, 'model'>): ChipName | undefined =>
    model === undefined ? undefined : (models.get(model) ?? chipOfModel(model)?.name)
  return Object.freeze<Target<Esp32Plan>>({
    kind: 'target',
    name: 'esp32',
    spec: 0,
    supports: Object.freeze({ slots: 2, rollback, resume: true }),
    matches: (device) => {
      const chip = chipOf(device)
      return device.model === undefined || (chip !== undefined && chips.includes(chip))
    },
    platforms: (device) => platformsOf(device.model, chipOf(device)),
    parsePlan,
    inspect: async (image, context) => await inspect(image, context),
    plan: (device, image, descriptor) => planUpdate(device, image, descriptor, { chips, chipOf }),
    measure: async (image, context) => [await measure(image, context)],
    drive: Object.freeze({ flash: flashDriver({ partitionTableOffset, rollback }), agent: agentDriver }),
  })
}

function expectOptions(chips: readonly ChipName[], models: ReadonlyMap<string, ChipName>, offset: number): void {
  const known = `one of ${chipNames.join(', ')}`
  const wrong = (name: string, expected: string, found: unknown): Error =>
    coreError('INVALID_OPTIONS', `${name}: expected ${expected}, found ${String(found)}`)
  if (chips.length === 0) throw wrong('chips', 'at least one chip', 'none')
  for (const chip of chips) if (!chipNames.includes(chip)) throw wrong('chips', known, chip)
  for (const [model, chip] of models) if (!chipNames.includes(chip)) throw wrong(`models["${model}"]`, known, chip)
  if (!Number.isInteger(offset) || offset < 0x1000 || offset > 0xff_f000 || offset % 0x1000 !== 0) {
    throw wrong('partitionTableOffset', 'a multiple of 4096 from 0x1000 on', offset)
  }
}

// The model first, because a board may need more than its chip (esp32s3r8 has PSRAM); then any image for the chip.
function platformsOf(model: string | undefined, chip: ChipName | undefined): readonly Platform[] {
  if (model === undefined || chip === undefined) return []
  const exact = model.toLowerCase()
  const isName = /^[a-z0-9][a-z0-9._-]{0,63}$/.test(exact)
  return [...(isName && exact !== chip ? [exact] : []), chip].map((architecture) => ({ os: 'custom', architecture }))
}

async function inspect(image: HeldImage, { signal }: RunContext) {
  const md5 = createHash('md5')
  const report = await inspectImage(hashedBy(md5, image.open()), { signal })
  const { problems, kind, chip, sizeBytes, appVersion, secureVersion } = report
  if (problems.length > 0) {
    throw fail('IMAGE_REFUSED', `${image.descriptor.digest}: ${problems.map(({ message }) => message).join('; ')}`, {
      stage: 'inspect',
      because: problems,
      details: { kind, digest: image.descriptor.digest },
    })
  }
  return {
    size: sizeBytes,
    ...(chip === undefined ? {} : { model: chip }),
    ...(appVersion === undefined ? {} : { version: appVersion }),
    ...(secureVersion === undefined ? {} : { securityVersion: secureVersion }),
    // A reader that stops early has not seen all: then there are problems, and no facts.
    facts: factsOf(report, md5.digest('hex')),
  }
}

async function* hashedBy(hash: Hash, source: ByteStream): ByteStream {
  for await (const chunk of source) {
    hash.update(chunk)
    yield chunk
  }
}

async function measure(image: HeldImage, { signal }: RunContext): Promise<Measurement> {
  throwIfAborted(signal)
  const startBytes = headerBytes + 8 + appDescriptionBytes
  const start = await collect(image.open({ offset: 0, length: Math.min(startBytes, image.descriptor.size) }), startBytes)
  const chip = start.length < headerBytes ? undefined : parseImageHeader(start).chip
  const svn = parseAppDescription(start.subarray(headerBytes + 8))?.secureVersion
  return {
    environment: { vendor: 'espressif', ...(chip === undefined ? {} : { model: chip.name }), layer: 'application' },
    digests: [{ hashAlg: 'sha256', digest: await sha256Of(image, signal) }],
    ...(svn === undefined ? {} : { svn }),
  }
}

async function sha256Of(image: HeldImage, signal: AbortSignal): Promise<string> {
  const { digest } = image.descriptor
  if (digestAlgorithm(digest) === 'sha256') return digestHex(digest)
  const hash = createHash('sha256')
  for await (const chunk of image.open()) {
    throwIfAborted(signal)
    hash.update(chunk)
  }
  return hash.digest('hex')
}
