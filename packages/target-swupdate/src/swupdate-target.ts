import { coreError, type Platform, parsePlatform, type Target } from '@reflash/core'
import { inspectSwu } from './inspect-swu.ts'
import { readSigners } from './signers.ts'
import { parsePlan, planUpdate, type SwupdatePlan } from './swupdate-plan.ts'

export interface SwupdateTargetOptions {
  /** Models of devices that run SWUpdate. */
  readonly models: readonly string[]
  /** PEM texts of certificates (signers, or authorities that issue them) or of RSA keys; `unchecked` leaves the signature to the devices. */
  readonly signers: readonly string[] | 'unchecked'
  /** The platform of the releases, such as `linux/arm64`; `custom/<model>` where absent. */
  readonly platform?: string
}

/**
 * Makes the target for devices that install by themselves with SWUpdate: it inspects .swu files and plans; it has no driver.
 * @throws `INVALID_OPTIONS`
 */
export function swupdateTarget(options: SwupdateTargetOptions): Target<SwupdatePlan> {
  const models = [...options.models]
  if (models.length === 0 || !models.every((model) => typeof model === 'string' && model.length > 0)) {
    throw coreError('INVALID_OPTIONS', 'models: expected at least one name, found none')
  }
  const signers = options.signers === 'unchecked' ? undefined : readSigners(options.signers)
  if (signers !== undefined && signers.certificates.length + signers.keys.length === 0) {
    throw coreError('INVALID_OPTIONS', "signers: expected at least one certificate or key, or 'unchecked', found none")
  }
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  return Object.freeze<Target<SwupdatePlan>>({
    kind: 'target',
    name: 'swupdate',
    spec: 0,
    ...(signers === undefined ? { opens: 'swupdateTarget: signatures inside updates are left to the devices' } : {}),
    // SWUpdate may write one copy or two: only sw-description knows, so the least is said.
    supports: Object.freeze({ slots: 1, rollback: false, resume: true }),
    matches: ({ model }) => model === undefined || models.includes(model),
    platforms: ({ model }) => (model === undefined || !models.includes(model) ? [] : [platform ?? customPlatform(model)]),
    parsePlan,
    async inspect(image, { signal, now }) {
      const { version, hardware } = await inspectSwu(image.open(), { signers, now, signal })
      return { size: image.descriptor.size, version, facts: { hardware } }
    },
    plan: (device, image, descriptor) => planUpdate(device, image, descriptor, models),
  })
}

function customPlatform(model: string): Platform {
  return { os: 'custom', architecture: model.toLowerCase() }
}
