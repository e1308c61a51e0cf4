import { fail } from '../core-errors.ts'
import type { Reason } from '../errors.ts'
import type { Installed } from '../plugin/device.ts'
import type { Planned } from './device-line.ts'
import type { Observation, Report } from './observation.ts'
import { quoted } from './quoted.ts'
import { imageOf } from './release-line.ts'

/** The end of an update that did not go through, as the device told it; undefined for every other report. */
export function reportedFailure({ state, code, messages }: Report): readonly Reason[] | undefined {
  const said = [code, ...(messages ?? [])].filter((part) => part !== undefined).join(': ')
  const tell = (reason: string, message: string): readonly Reason[] => [
    { code: reason, message: said === '' ? message : `${message}: ${said}` },
  ]
  switch (state) {
    case 'failed':
      return tell('DEVICE_FAILED', 'the device reported a failure')
    case 'rejected':
      return tell('DEVICE_REJECTED', 'the device refused the update')
    case 'canceled':
      return tell('CANCELED', 'the device canceled the update')
    case 'rolled-back':
      return tell('ROLLED_BACK', 'the device went back to its old image')
    default:
      return undefined
  }
}

/** Whether what a device shows is the image of this plan: by digest where it tells one (then the version is only a name), else by version. */
export function runs(planned: Planned, installed: Installed): boolean {
  if (installed.digest === undefined) return installed.version === planned.release.held.verified.version
  return planned.release.images.some(({ image }) => image.descriptor.digest === installed.digest)
}

/** What was read back is, byte for byte, the image of this plan; otherwise each difference. */
export function readBackProblems(planned: Planned, seen: Extract<Observation, { by: 'read-back' }>): readonly Reason[] {
  const { descriptor, crc32 } = imageOf(planned.release).image
  const reasons: Reason[] = []
  if (seen.size !== descriptor.size)
    reasons.push({ code: 'SIZE_MISMATCH', message: `expected ${descriptor.size} bytes, read back ${seen.size}` })
  if (seen.digest !== descriptor.digest)
    reasons.push({ code: 'DIGEST_MISMATCH', message: `expected ${descriptor.digest}, read back ${seen.digest}` })
  if (seen.crc32 !== undefined && seen.crc32 !== crc32)
    reasons.push({ code: 'CRC_MISMATCH', message: `expected CRC-32 ${crc32}, read back ${seen.crc32}` })
  return reasons
}

export const unobserved = (since: Date): { readonly is: 'unobserved'; readonly because: readonly Reason[] } => ({
  is: 'unobserved',
  because: [{ code: 'NOT_REPORTED', message: `nothing has been heard from the device since ${since.toISOString()}` }],
})

export const waiting = (code: string, message: string): { readonly is: 'waiting'; readonly because: readonly Reason[] } => ({
  is: 'waiting',
  because: [{ code, message }],
})

/** A driver made up an observation that no room can judge. */
export function unknownObservation(observed: never): Error {
  return fail(
    'BROKEN_PLUGIN',
    `expected an observation by read-back, report, check-in, evidence or none, found ${quoted((observed as { by?: unknown } | null)?.by)}`,
  )
}
