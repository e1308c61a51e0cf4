import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, type Platform, type Registry } from '@reflash/core'
import { type PushedArtifact, pushArtifact, type SigningKey, signArtifact } from '@reflash/registry-oci'
import type { ChipName } from '@reflash/target-esp32'
import { demoImage } from '@reflash/target-esp32/testing'

export const demoProduct = 'demo-lamp'

/** Makes releases in an OCI layout: good ones, and those that must not reach a device. */
export interface DemoReleases {
  /** `oci:<dir>` */
  readonly repository: string
  push(version: string, options: { readonly chip: ChipName; readonly sign: boolean; readonly tag?: string }): Promise<PushedArtifact>
  /** Changes one byte of an image where it lies. */
  tamper(release: PushedArtifact): Promise<void>
  /** Puts another tag on a release, as whoever can write to a registry may. */
  retag(release: PushedArtifact, tag: string): Promise<void>
}

export function demoReleases(options: {
  readonly registry: Registry
  readonly layout: string
  readonly key: SigningKey
  readonly signal: AbortSignal
  readonly now: () => Date
}): DemoReleases {
  const { registry, layout, key, signal, now } = options
  const repository = `oci:${layout}`
  return {
    repository,
    async push(version, { chip, sign, tag = version }) {
      const platform: Platform = { os: 'custom', architecture: chip }
      const file = { title: `lamp-${chip}.bin`, platform, bytes: demoImage({ chip, version, projectName: demoProduct }) }
      const pushed = await pushArtifact(registry, `${repository}:${tag}`, [file], { version, product: demoProduct, created: now(), signal })
      if (sign) await signArtifact(registry, `${repository}@${pushed.root.digest}`, key, { signal })
      return pushed
    },
    async tamper({ images }) {
      const path = join(layout, 'blobs', 'sha256', digestHex(imageOf(images).digest))
      const bytes = await readFile(path)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
      await writeFile(path, bytes)
    },
    async retag({ root }, tag) {
      await registry.tag?.(root, `${repository}:${tag}`, { signal })
    },
  }
}

/** The one image of a demo release. */
export function imageOf(images: PushedArtifact['images']): PushedArtifact['images'][number]['image'] {
  return (images[0] as PushedArtifact['images'][number]).image
}
