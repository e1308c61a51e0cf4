/** What one composition demands of every update. */
export interface Policy {
  /** Changes whenever an older decision must not be believed any more: offers that no device has begun are decided anew. */
  readonly revision: string
  /** `none`: not asked. `before`: evidence before an update. `proven`: also fresh evidence of the new image before `confirmed`. */
  readonly attestation: 'none' | 'before' | 'proven'
  /** `stable` admits no pre-release; another name admits stable versions and its own pre-releases. The first word of a pre-release. */
  readonly channel: string
  /** How often one device may try one image in vain before it is no longer offered, until anything else is confirmed. 1 to 16. */
  readonly attempts: number
  /** Milliseconds that a device may go on showing its old version after it said `installed`. */
  readonly bootGraceMs: number
  /** Milliseconds after which a push stops waiting for a confirmation. */
  readonly confirmWithinMs: number
}

/** What holds where a composition says nothing else. */
export const defaultPolicy: Policy = Object.freeze({
  revision: '1',
  attestation: 'none',
  channel: 'stable',
  // A bad image is tried again in case the power failed, but not for ever: each try wears flash.
  attempts: 3,
  // Real devices reboot some time after they reported; ten minutes covers a slow boot and a self-test.
  bootGraceMs: 600_000,
  confirmWithinMs: 600_000,
})
