import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Descriptor, type Digest, mediaTypes } from '@reflash/core'
import { generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { demoImage } from '@reflash/target-esp32/testing'

export const product = 'lamp'
export const chip = 'esp32s3'

/** A release as a registry keeps it. */
export interface StoredRelease {
  readonly root: Digest
  readonly image: Descriptor
  readonly bytes: Uint8Array
}

export interface StoredBytes {
  readonly mediaType: string
  readonly bytes: Buffer
}

/** What a registry holds that somebody honest has filled, and somebody else may write to. */
export interface LampReleases {
  readonly publicKeyPem: string
  /** 0.9.0, which no registry has: what devices come with. */
  readonly factory: Uint8Array
  /** Runs on the devices. */
  readonly old: StoredRelease
  /** 1.1.0: where every device should be in the end. */
  readonly next: StoredRelease
  /** 1.2.0: comes once an attack on what is known is over. */
  readonly newest: StoredRelease
  /** 1.2.0 of another product, signed by the same key. */
  readonly heater: StoredRelease
  /** 1.1.0, which nobody signed. */
  readonly unsigned: StoredRelease
  readonly content: ReadonlyMap<string, StoredBytes>
  /** Tag of each signature. */
  readonly signatures: ReadonlyMap<string, Digest>
}

/** Fills an OCI layout through the packages that a vendor uses, and reads back what lies there. */
export async function lampReleases(folder: string): Promise<LampReleases> {
  const layout = join(folder, 'layout')
  const repository = `oci:${layout}`
  const registry = ociRegistry()
  const password = 'a password of a test'
  const { privateKeyPem, publicKeyPem } = await generateKeyPair(password)
  const key = await openKey(privateKeyPem, password)
  const make = async (tag: string, version: string, options: { product: string; sign: boolean; seed?: number }): Promise<StoredRelease> => {
    const bytes = demoImage({ chip, version, projectName: options.product, sizeBytes: 64 * 1024, seed: options.seed ?? 1 })
    const file = { title: `${options.product}.bin`, platform: { os: 'custom', architecture: chip }, bytes }
    const { root, images } = await pushArtifact(registry, `${repository}:${tag}`, [file], {
      version,
      product: options.product,
      created: new Date(0),
    })
    if (options.sign) await signArtifact(registry, `${repository}@${root.digest}`, key)
    return { root: root.digest, image: (images[0] as { image: Descriptor }).image, bytes }
  }
  const old = await make('old', '1.0.0', { product, sign: true })
  const next = await make('next', '1.1.0', { product, sign: true })
  const newest = await make('newest', '1.2.0', { product, sign: true })
  const heater = await make('heater', '1.2.0', { product: 'heater', sign: true })
  const unsigned = await make('unsigned', '1.1.0', { product, sign: false, seed: 2 })
  await registry.close()
  const factory = demoImage({ chip, version: '0.9.0', projectName: product, sizeBytes: 64 * 1024, seed: 1 })
  const all = [old, next, newest, heater, unsigned]
  return { publicKeyPem, factory, old, next, newest, heater, unsigned, ...(await read(layout, all)) }
}

async function read(layout: string, releases: readonly StoredRelease[]): Promise<Pick<LampReleases, 'content' | 'signatures'>> {
  const content = new Map<string, StoredBytes>()
  const signatures = new Map<string, Digest>()
  const blob = async (digest: string, mediaType: string): Promise<Buffer> => {
    const bytes = await readFile(join(layout, 'blobs', ...digest.split(':')))
    content.set(digest, { mediaType, bytes })
    return bytes
  }
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: (Descriptor & { annotations?: object })[] }
  for (const { digest, annotations } of index.manifests) {
    const manifest = JSON.parse((await blob(digest, mediaTypes.manifest)).toString()) as { config: Descriptor; layers: Descriptor[] }
    for (const { digest: part, mediaType } of [manifest.config, ...manifest.layers]) await blob(part, mediaType)
    const tag = (annotations as Record<string, string> | undefined)?.['org.opencontainers.image.ref.name']
    if (tag?.endsWith('.sig') === true) signatures.set(tag, digest)
  }
  for (const { root } of releases) if (!content.has(root)) await blob(root, mediaTypes.manifest)
  return { content, signatures }
}
