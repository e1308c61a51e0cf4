import { isUtf8 } from 'node:buffer'
import { nameLimit } from './cpio.ts'
import { type ConfigGroup, type ConfigValue, parseConfig } from './libconfig.ts'
import { fail } from './swupdate-errors.ts'

/** A member of the archive that the description names. */
export interface DescribedImage {
  readonly filename: string
  /** Lower case hex; undefined where the description does not bind it. */
  readonly sha256: string | undefined
}

/** What sw-description says, as far as a server can judge it. SWUpdate, "Syntax and Tags". */
export interface SwDescription {
  readonly version: string
  readonly description: string | undefined
  /** `<board>:<revision>` or bare revisions, as the text has them; `#RE:` patterns among them. Empty: any hardware. */
  readonly hardware: readonly string[]
  /** Each file once, whatever the number of modes it appears in. */
  readonly images: readonly DescribedImage[]
}

const lists: ReadonlySet<string> = new Set(['images', 'files', 'scripts', 'partitions', 'bootenv', 'uboot'])

/**
 * Reads a sw-description.
 * @throws `SW_DESCRIPTION_INVALID`
 */
export function parseSwDescription(bytes: Uint8Array): SwDescription {
  if (!isUtf8(bytes)) throw fail('SW_DESCRIPTION_INVALID', 'expected UTF-8, found other bytes')
  const { software } = parseConfig(Buffer.from(bytes).toString('utf8'))
  if (!isGroup(software)) throw fail('SW_DESCRIPTION_INVALID', 'software: expected a group, found none')
  const { version, description } = software
  if (typeof version !== 'string' || version === '') throw fail('SW_DESCRIPTION_INVALID', 'software.version: expected a text, found none')
  const images = new Map<string, DescribedImage>()
  const hardware = new Set<string>()
  collect(software, images, hardware)
  if (images.size === 0) throw fail('SW_DESCRIPTION_INVALID', 'software: expected at least one image, file or script, found none')
  return {
    version,
    description: typeof description === 'string' ? description : undefined,
    hardware: [...hardware],
    images: [...images.values()],
  }
}

/** Boards, software sets and modes may stand in between, in any order. */
function collect(group: ConfigGroup, images: Map<string, DescribedImage>, hardware: Set<string>): void {
  for (const [name, value] of Object.entries(group)) {
    if (name === 'hardware-compatibility') {
      for (const each of texts(name, value)) hardware.add(each)
    } else if (lists.has(name) && Array.isArray(value)) {
      for (const entry of value) if (isGroup(entry)) note(entry, images)
    } else if (isGroup(value)) collect(value, images, hardware)
  }
}

function note(entry: ConfigGroup, images: Map<string, DescribedImage>): void {
  const { filename, sha256 } = entry
  if (filename === undefined) return
  if (typeof filename !== 'string' || filename === '')
    throw fail('SW_DESCRIPTION_INVALID', 'filename: expected a text, found another value')
  const nameBytes = Buffer.byteLength(filename)
  if (nameBytes >= nameLimit)
    throw fail('SW_DESCRIPTION_INVALID', `filename: expected at most ${nameLimit - 1} bytes, as a member's name has, found ${nameBytes}`)
  if (sha256 !== undefined && (typeof sha256 !== 'string' || !/^[0-9a-fA-F]{64}$/.test(sha256))) {
    // "$..." is filled in by build systems: left in, SWUpdate takes it for a hash.
    throw fail('SW_DESCRIPTION_INVALID', `${JSON.stringify(filename)}: sha256: expected 64 hexadecimal digits, found another value`)
  }
  const known = images.get(filename)
  const digest = sha256?.toLowerCase()
  if (known?.sha256 !== undefined && digest !== undefined && known.sha256 !== digest) {
    throw fail('SW_DESCRIPTION_INVALID', `${JSON.stringify(filename)}: expected one sha256, found two`)
  }
  // Where one mode binds the file and another does not, the one that does not decides: that mode would install anything.
  images.set(filename, { filename, sha256: known === undefined ? digest : known.sha256 === undefined ? undefined : digest })
}

function texts(name: string, value: ConfigValue): readonly string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value as readonly string[]
  throw fail('SW_DESCRIPTION_INVALID', `${name}: expected a list of texts, found another value`)
}

function isGroup(value: ConfigValue | undefined): value is ConfigGroup {
  return typeof value === 'object' && !Array.isArray(value)
}
