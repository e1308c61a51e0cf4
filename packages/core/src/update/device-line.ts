import type { Json } from '../content/json.ts'
import type { Reason } from '../errors.ts'
import type { DeviceState, Principal } from '../plugin/device.ts'
import type { AttestationResult, Evidence, EvidenceVerifier } from '../plugin/evidence-verifier.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Policy } from '../policy/policy.ts'
import type { Observation } from './observation.ts'
import type { Proof } from './proof.ts'
import type { Release } from './release-line.ts'

/** What the rooms of the device line work with. */
export interface DeviceDeps {
  readonly attestation: readonly EvidenceVerifier[]
  readonly journal: Journal
  readonly policy: Policy
}

/** Evidence and the nonce that it was asked for with. */
export interface Presented {
  readonly evidence: Evidence
  readonly nonce: Uint8Array
}

/** The device is who it says, and its evidence says what the policy demands. */
export type Admitted = Proof<
  'admit',
  { readonly device: DeviceState; readonly principal: Principal; readonly attestation?: AttestationResult }
>

/** This release may go to this device, and how. `because` says why it was chosen. */
export type Planned = Proof<
  'plan',
  {
    readonly id: string
    readonly admitted: Admitted
    readonly release: Release
    readonly target: string
    readonly plan: Json
    readonly because: readonly Reason[]
  }
>

/** The image is on the device, whole. */
export type Delivered = Proof<'deliver', { readonly planned: Planned; readonly observed: Observation }>
/** The device boots the image next, or already has. */
export type Installed = Proof<'install', { readonly delivered: Delivered; readonly observed: Observation }>
/** The device runs the image and keeps it; where the policy demands it, it has proven so. */
export type Confirmed = Proof<'confirm', { readonly installed: Installed; readonly observed: Observation }>
