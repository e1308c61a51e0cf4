import type { Json } from '../content/json.ts'
import { formatPlatform, samePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import { mayInstall } from '../policy/may-install.ts'
import type { Admitted, Planned } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { demand, prove } from './proof.ts'
import { imageOf, type Release } from './release-line.ts'

/**
 * Decides, without any I/O, whether this release may go to this device, and how.
 * @throws `PLAN_REFUSED` (rejected) with every reason in `because`: already installed, downgrade, floor, wrong chip, too large, ...;
 * `FORGED_PROOF`, `BROKEN_PLUGIN` (internal)
 */
export function plan(id: string, admitted: Admitted, release: Release, target: Target): Planned {
  demand('admit', admitted)
  demand('inspect', release)
  const { device } = admitted
  const { verified } = release.held
  const reasons: Reason[] = [...mayInstall(verified, device.installed)]
  if (admitted.attestation?.recovery === true)
    reasons.push({ code: 'RECOVERY_ONLY', message: 'the device runs in recovery: only a repair may be offered' })
  const made = fits(target, device, release, reasons) ? planOf(target, device, release, reasons) : undefined
  reasons.push(...otherPlatform(target, device, verified))
  if (reasons.length > 0 || made === undefined) {
    throw fail('PLAN_REFUSED', `${verified.version} for device ${device.id}: ${reasons.map(({ message }) => message).join('; ')}`, {
      stage: 'plan',
      because: reasons,
    })
  }
  const from = device.installed === undefined ? 'nothing known to be installed' : `installed ${device.installed.version}`
  const because = [{ code: 'NEWER_VERSION', message: `${verified.version} is newer: ${from}` }]
  return prove('plan', { id, admitted, release, target: target.name, plan: frozenCopy(made.plan), because: frozenCopy(because) })
}

/**
 * Makes the proof of a plan that was stored, without planning anew: a half-written device would be planned differently.
 * @throws what the target's `parsePlan` throws
 */
export function restorePlan(id: string, admitted: Admitted, release: Release, target: Target, stored: Json): Planned {
  demand('admit', admitted)
  demand('inspect', release)
  const because = [{ code: 'RESUMED', message: 'the plan was stored before' }]
  const parsed = frozenCopy(target.parsePlan(stored))
  return prove('plan', { id, admitted, release, target: target.name, plan: parsed, because: frozenCopy(because) })
}

// A target plans only what it has inspected, for a device that it knows.
function fits(target: Target, device: DeviceState, release: Release, reasons: Reason[]): boolean {
  const before = reasons.length
  if (release.target !== target.name)
    reasons.push({ code: 'WRONG_TARGET', message: `the release was inspected by target ${release.target}, not ${target.name}` })
  if (!target.matches(device)) reasons.push({ code: 'WRONG_TARGET', message: `target ${target.name} does not know model ${device.model}` })
  return reasons.length === before
}

// What the manifest is signed for counts for a release without an index too, whose platform nobody chose.
function otherPlatform(target: Target, device: DeviceState, { platform }: Release['held']['verified']): readonly Reason[] {
  const own = target.platforms(device)
  if (platform === undefined || own.length === 0 || own.some((candidate) => samePlatform(candidate, platform))) return []
  const message = `the release is signed for ${formatPlatform(platform)}, and the device runs ${own.map(formatPlatform).join(' or ')}`
  return [{ code: 'WRONG_PLATFORM', message }]
}

function planOf(target: Target, device: DeviceState, release: Release, reasons: Reason[]): { readonly plan: Json } | undefined {
  const { image, info } = imageOf(release)
  try {
    return { plan: target.plan(device, info, image.descriptor) }
  } catch (error) {
    if (!isOtaError(error)) throw fail('BROKEN_PLUGIN', `target ${target.name} broke while it planned`, { stage: 'plan', cause: error })
    if (error.fault === 'internal' || error.fault === 'aborted') throw error
    reasons.push(...error.because)
    return undefined
  }
}
