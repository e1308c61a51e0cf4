import type { Digest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'

/** One unit of the fleet. `model` is its kind, where anybody knows it (an OtaFlux or hawkBit poll does not say). */
export interface Device {
  readonly id: string
  readonly model?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** What a device runs: `pending` until its own self-test has kept the image, then `confirmed`. */
export interface Installed {
  readonly version: string
  readonly digest?: Digest
  readonly state?: 'pending' | 'confirmed'
}

/** A device as it is known now: what it runs, and what it says of itself. */
export interface DeviceState extends Device {
  readonly installed?: Installed
  readonly attributes?: Readonly<Record<string, Json>>
}

/** Who is at the other end, and who says so. */
export interface Principal {
  readonly deviceId: string
  readonly by: 'mtls' | 'token' | 'attestation' | 'gateway' | 'broker' | 'anonymous'
}
