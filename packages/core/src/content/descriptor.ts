import type { Digest } from './digest.ts'

/** What content is: its type, digest and size in bytes. OCI image spec, descriptor.md. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly artifactType?: string
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
}

/** Where an image runs. OCI image spec, image-index.md; for microcontrollers `os` is `custom` and `architecture` the chip. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}
