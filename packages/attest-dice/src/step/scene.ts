import type { Purpose } from '@reflash/core'
import type { Environment } from '../claims/environment.ts'
import type { Layer } from '../claims/layers.ts'
import type { ReferenceValue } from '../claims/reference-values.ts'
import type { Fwid } from '../claims/tcb-info.ts'
import type { diceErrors } from '../dice-errors.ts'
import type { DiceProof } from '../evidence.ts'
import type { Certificate } from '../x509/certificate.ts'
import type { Path, SignatureMemory } from '../x509/path.ts'

/** How a chain is judged, beside what is known to be good. */
export interface DicePolicy {
  /** What the claims are written in; `auto`, where absent, takes either, and refuses both at once. */
  readonly profile?: 'tcg' | 'open-dice' | 'auto'
  /** Whether the leaf may be a CDI certificate of Open DICE, whose key is meant for certificates alone; false where absent. */
  readonly allowCdiLeaf?: boolean
  /** Whether a layer that no reference value speaks of passes; false where absent. */
  readonly allowUnknownLayers?: boolean
  /** Environments that must be measured. */
  readonly required?: readonly Environment[]
  /** Layers that must all be there, by number. */
  readonly expectedLayers?: readonly number[]
  /** Milliseconds that a certificate may be from the future, for makers whose clock is ahead; 0 where absent. */
  readonly notBeforeSkewMs?: number
  readonly revoked?: Revoked
}

/** What was good once. */
export interface Revoked {
  /** By issuer (the Name in DER, lower case hex) and serial number (lower case hex of the content). */
  readonly certificates?: readonly { readonly issuer: string; readonly serial: string }[]
  /** SHA-256 of the SubjectPublicKeyInfo in lower case hex. */
  readonly keys?: readonly string[]
  /** Firmware, by environment, by digest, or by both; all that is stated must match. */
  readonly measurements?: readonly { readonly environment?: Environment; readonly fwid?: Fwid }[]
}

/** A proof as it is judged: what must be signed, and what the device says it has signed. */
export interface ShownProof {
  readonly message: Uint8Array
  readonly signature: Uint8Array
  /** The nonce that was asked for. */
  readonly nonce: Uint8Array
  /** What the evidence says that it is for; absent where it came without words. */
  readonly claimed?: Pick<DiceProof, 'nonce' | 'purpose' | 'deviceId'>
}

/** What a device was asked for. */
export interface Asked {
  readonly purpose: Purpose
  readonly deviceId: string
  /** The identity that the device must have; null where it is enrolled with none. */
  readonly identity: string | null | undefined
  /** Security versions that it has shown before, by environment. */
  readonly svn: Readonly<Record<string, number>>
}

/** Everything that the steps look at. */
export interface Scene {
  /** As sent, leaf first. */
  readonly presented: readonly Uint8Array[]
  /** Each of them read, or why it could not be. */
  readonly read: readonly (Certificate | string)[]
  readonly path: Path
  readonly signatures: SignatureMemory
  /** From the anchor to the leaf. */
  readonly layers: readonly Layer[]
  readonly identities: readonly string[]
  readonly now: Date
  readonly policy: DicePolicy
  readonly referenceValues: readonly ReferenceValue[]
  /** Environments whose reference values come with a release. */
  readonly released: readonly Environment[]
  /** What the release declares. */
  readonly references: readonly ReferenceValue[]
  /** Undefined: none was shown; `not-asked`: the caller judges the chain alone. */
  readonly proof: ShownProof | 'not-asked' | undefined
  /** Absent where no device is asked: a chain is judged by itself. */
  readonly asked?: Asked
}

/** One thing that is wrong. Index 0 is the leaf; absent where it is about the whole. */
export interface Finding {
  readonly certificate?: number
  readonly reason: string
}

/** One step of an appraisal, as data. */
export interface Step {
  /** Its name is the code of its failure. */
  readonly name: keyof typeof diceErrors
  /** Which step of the appraisal it belongs to, as the README lists them. */
  readonly group: DiceGroup
  /** `bytes` needs what was sent alone; `chain` needs all of it read. */
  readonly needs: 'bytes' | 'chain'
  /** What is wrong; a text says why there is nothing to look at. */
  find(scene: Scene): readonly Finding[] | string
}

/** The groups of steps, in order. */
export type DiceGroup =
  | 'limits'
  | 'order'
  | 'path'
  | 'extensions'
  | 'leaf'
  | 'proof'
  | 'measurements'
  | 'versions'
  | 'modes'
  | 'layers'
  | 'identity'
  | 'revocation'
