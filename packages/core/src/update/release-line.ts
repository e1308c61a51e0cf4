import type { Descriptor, Platform } from '../content/descriptor.ts'
import type { Cache, HeldImage } from '../plugin/cache.ts'
import type { Measurement } from '../plugin/evidence-verifier.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Registry } from '../plugin/registry.ts'
import type { SignatureVerifier, Subject, VerificationResult } from '../plugin/signature-verifier.ts'
import type { ImageInfo, Target } from '../plugin/target.ts'
import type { VersionSource } from '../plugin/version-source.ts'
import type { Proof } from './proof.ts'

/** What the rooms of the release line work with. */
export interface ReleaseDeps {
  readonly registry: Registry
  readonly cache: Cache
  readonly journal: Journal
  /** All must pass. */
  readonly verifiers: readonly SignatureVerifier[]
  readonly versions: VersionSource
  readonly target: Target
  /** The product that this server is told to expect; undefined accepts any. */
  readonly product?: string | undefined
  /** Bytes; what one image may have. */
  readonly imageLimitBytes: number
}

/** One image of a release, pinned. */
export interface PinnedImage {
  readonly component: string
  readonly descriptor: Descriptor
}

/** Everything is pinned by digest: no tag is read twice. */
export type Resolved = Proof<
  'resolve',
  Subject & {
    readonly tag?: string
    readonly platform?: Platform
    readonly rootAnnotations: Readonly<Record<string, string>>
    readonly manifestAnnotations: Readonly<Record<string, string>>
    readonly images: readonly [PinnedImage, ...PinnedImage[]]
  }
>

/** Version, product and floor come from annotations of bytes that a passing verifier covers. */
export type Verified = Proof<
  'verify',
  {
    readonly resolved: Resolved
    readonly results: readonly VerificationResult[]
    readonly version: string
    readonly product?: string
    /** What the manifest is signed for. */
    readonly platform?: Platform
    /** A semver range: which installed versions may update to this release directly. */
    readonly from?: string
  }
>

/** Every image is at rest, whole and checked. */
export type Held = Proof<
  'fetch',
  { readonly verified: Verified; readonly images: readonly { readonly component: string; readonly image: HeldImage }[] }
>

/** The images are what the target can run. */
export type Release = Proof<
  'inspect',
  {
    readonly held: Held
    readonly target: string
    readonly images: readonly {
      readonly component: string
      readonly image: HeldImage
      readonly info: ImageInfo
      readonly measurements: readonly Measurement[]
    }[]
  }
>

/** The one image of a release (several are refused in `resolve`). */
export function imageOf(release: Release): Release['images'][number] {
  return release.images[0] as Release['images'][number]
}
