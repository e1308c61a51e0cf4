import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  type Descriptor,
  type Digest,
  digestOf,
  type Json,
  mediaTypes,
  type Registry,
  type Subject,
  type VerifyContext,
} from '@reflash/core'
import { type MemoryRegistry, memoryJournal, memoryRegistry } from '@reflash/core/testing'
import { encodeBase64 } from '../../src/cosign/base64.ts'
import { formatPayload } from '../../src/cosign/payload.ts'
import { payloadMediaType, signatureAnnotation, signatureTag } from '../../src/cosign/signature-manifest.ts'
import { type SigningKey, signingKey } from '../../src/cosign/signing-key.ts'

export const repository = 'registry.test/fw/app'

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export const ecKey = (namedCurve: string): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey
export const rsaKey = (modulusLength: number, publicExponent = 65_537): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey
export const edKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey

/** The signing keys that most tests share; making them is slow. */
export const alice = signingKey(ecKey('P-256'))
export const bob = signingKey(ecKey('P-256'))
export const mallory = signingKey(ecKey('P-256'))

export interface Layer {
  readonly payload: Uint8Array
  readonly signature: Uint8Array | string
  readonly mediaType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** A layer whose payload says what it should, signed by `key`. */
export async function signed(
  key: SigningKey,
  digest: Digest,
  payload = formatPayload({ digest, dockerReference: repository }),
): Promise<Layer> {
  return { payload, signature: await key.sign(payload) }
}

/** Puts blobs and layer descriptors in place for a signature manifest written by somebody. */
export function layerJson(registry: MemoryRegistry, { payload, signature, mediaType = payloadMediaType, annotations }: Layer): Json {
  const { digest, size } = registry.addContent(repository, mediaType, payload)
  const text = typeof signature === 'string' ? signature : encodeBase64(signature)
  return { mediaType, digest, size, annotations: { [signatureAnnotation]: text, ...annotations } }
}

/** Stores any document under the signature tag of `digest`. */
export async function putSignatures(
  registry: MemoryRegistry,
  digest: Digest,
  document: Json | Uint8Array,
  mediaType: string = mediaTypes.manifest,
): Promise<Descriptor> {
  const bytes = document instanceof Uint8Array ? document : utf8(JSON.stringify(document))
  const descriptor = registry.addContent(repository, mediaType, bytes)
  await registry.tag(descriptor, `${repository}:${signatureTag(digest)}`)
  return descriptor
}

export function manifestOf(layers: readonly Json[]): Json {
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(utf8('{}')), size: 2 }
  return { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers }
}

/** A registry with one artifact in it, as resolved, and with these signatures. */
export async function scene(...make: ((digest: Digest) => Layer | Promise<Layer>)[]) {
  const registry = memoryRegistry()
  const { manifest } = registry.addArtifact(repository, { content: utf8('firmware'), tag: '1.0.0', version: '1.0.0' })
  const layers = await Promise.all(make.map((maker) => maker(manifest.digest)))
  if (layers.length > 0) await putSignatures(registry, manifest.digest, manifestOf(layers.map((layer) => layerJson(registry, layer))))
  return { registry, manifest, subject: subjectOf(manifest) }
}

export function subjectOf(root: Descriptor, manifest: Descriptor = root): Subject {
  return { repository, reference: `${repository}:1.0.0`, root, manifest }
}

export function contextOf(
  registry: Pick<Registry, 'resolve' | 'fetch'>,
  signal: AbortSignal = new AbortController().signal,
): VerifyContext {
  const journal = memoryJournal()
  return { from: registry as VerifyContext['from'], signal, now: new Date('2026-01-01T00:00:00Z'), state: journal }
}
