import { type Descriptor, type DeviceState, type Digest, type ImageInfo, isDigest, type Json, type Reason } from '@reflash/core'
import { fail, type swupdateErrors } from './swupdate-errors.ts'

/** What is stored of an update. A type, because only types are JSON to TypeScript. */
export type SwupdatePlan = { readonly digest: Digest; readonly sizeBytes: number; readonly version: string }

/** The target's own facts of an update. */
export type SwupdateFacts = { readonly hardware: readonly string[] }

const versionLimit = 256

/**
 * Says that an update may go to a device, or every reason why not. A device tells its hardware as `hardware` (`board:revision` or `revision`) in
 * its attributes, as `identify` in swupdate.cfg sets it; one that tells nothing decides by itself (`-H`).
 * @throws `SWU_WRONG_MODEL`, `SWU_WRONG_HARDWARE`
 */
export function planUpdate(
  device: DeviceState,
  { size, version = '', facts }: ImageInfo,
  { digest }: Descriptor,
  models: readonly string[],
): SwupdatePlan {
  const because: Reason[] = []
  if (device.model !== undefined && !models.includes(device.model)) {
    because.push({ code: 'SWU_WRONG_MODEL', message: `expected a device of model ${models.join(' or ')}, found ${show(device.model)}` })
  }
  const { hardware } = facts as SwupdateFacts
  const found = device.attributes?.hardware
  if (hardware.length > 0 && typeof found === 'string' && !hardware.some((each) => isHardware(each, found))) {
    because.push({ code: 'SWU_WRONG_HARDWARE', message: `expected hardware ${show(hardware.join(', '))}, found ${show(found)}` })
  }
  const [first] = because
  if (first !== undefined) {
    throw fail(first.code as keyof typeof swupdateErrors, because.map(({ message }) => message).join('; '), { because })
  }
  return { digest, sizeBytes: size, version: version.slice(0, versionLimit) }
}

/** Revisions stand with or without their board. `#RE:` patterns are left to the device: they are POSIX expressions, and anybody's. */
function isHardware(expected: string, found: string): boolean {
  if (expected.startsWith('#RE:')) return true
  return expected === found || (!expected.includes(':') && expected === found.slice(found.lastIndexOf(':') + 1))
}

/** What a device or an update says, on one line. */
function show(text: string): string {
  return JSON.stringify(text.slice(0, versionLimit))
}

/** Takes a stored plan back. @throws `SWU_PLAN_INVALID` */
export function parsePlan(facts: Json): SwupdatePlan {
  const { digest, sizeBytes, version } = (typeof facts === 'object' && facts !== null ? facts : {}) as Readonly<Record<string, unknown>>
  const isSize = Number.isSafeInteger(sizeBytes) && (sizeBytes as number) > 0
  if (!isDigest(digest) || !isSize || typeof version !== 'string' || version.length > versionLimit) {
    throw fail('SWU_PLAN_INVALID', 'expected { digest, sizeBytes, version }, found something else')
  }
  return { digest, sizeBytes: sizeBytes as number, version }
}
