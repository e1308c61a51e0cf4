import { type Descriptor, type Digest, digestHex, digestOf, type Json, manifestLimitBytes, mediaTypes } from '@reflash/core'
import { fail } from './cosign-errors.ts'
import { isObject, parseStrictJson } from './strict-json.ts'

/** The media type of a layer whose blob is a simple signing payload. */
export const payloadMediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'

/** The annotation of such a layer that holds the signature in base64. */
export const signatureAnnotation = 'dev.cosignproject.cosign/signature'

const configMediaType = 'application/vnd.oci.image.config.v1+json'

/** cosign's own limit, and core's; a manifest of 4 MiB could list 40,000. */
export const layerLimit = 1000

/** OCI distribution spec: a tag has at most 128 characters, which `sha512-<128 hex digits>.sig` does not fit. */
const tagLimit = 128

/*
 * The manifest under the tag `sha256-<hex of the signed digest>.sig` (cosign SIGNATURE_SPEC, storage):
 *
 * | key          | value                                                                                     |
 * |--------------|-------------------------------------------------------------------------------------------|
 * | mediaType    | OCI image manifest (Docker's where cosign is told so)                                     |
 * | config       | an OCI image config whose rootfs.diff_ids are the digests of the layers, as none is packed|
 * | layers[]     | one per signature: the payload's descriptor, with the annotation below                    |
 *
 * | annotation of a layer                  | value                                                            |
 * |----------------------------------------|------------------------------------------------------------------|
 * | dev.cosignproject.cosign/signature     | base64 of the signature over the payload's bytes                 |
 * | dev.sigstore.cosign/certificate, chain | PEM; keyless signing, ignored by key-based verification          |
 * | dev.sigstore.cosign/bundle             | Rekor's signed entry timestamp; ignored likewise                 |
 * | dev.sigstore.cosign/rfc3161timestamp   | a timestamp authority's answer; ignored likewise                 |
 */
export interface SignatureManifest {
  readonly mediaType: string
  readonly config: Json
  /** As they stand there: nothing in them was checked. */
  readonly layers: readonly Json[]
  /** What else the manifest holds, such as annotations. */
  readonly rest: { readonly [key: string]: Json }
}

/** The tag under which the signatures of `digest` are stored, or `undefined` where no tag can hold it (SHA-512). */
export function signatureTag(digest: Digest): string | undefined {
  const tag = `${digest.slice(0, digest.indexOf(':'))}-${digestHex(digest)}.sig`
  return tag.length > tagLimit ? undefined : tag
}

/**
 * Reads a signature manifest from bytes whose digest was checked; its layers are not looked into.
 * @throws `SIGNATURE_MANIFEST_INVALID`
 */
export function parseSignatureManifest(bytes: Uint8Array, servedAs: string): SignatureManifest {
  if (bytes.length > manifestLimitBytes) throw refuse(`it has ${bytes.length} bytes`)
  const document = parseStrictJson(bytes, refuse)
  if (!isObject(document)) throw refuse('it is not a JSON object')
  const { schemaVersion, mediaType = servedAs, config, layers, ...rest } = document
  if (schemaVersion !== 2) throw refuse('schemaVersion is not 2')
  if (mediaType !== servedAs) throw refuse('it is served under another media type than its own')
  if (servedAs !== mediaTypes.manifest && servedAs !== mediaTypes.dockerManifest)
    throw refuse(`it is ${JSON.stringify(String(servedAs).slice(0, 100))}`)
  // OCI image spec, manifest.md: one document that reads as two kinds means different things to two readers.
  if (Object.hasOwn(rest, 'manifests')) throw refuse('it has manifests, as an index')
  if (!isObject(config)) throw refuse('config is not an object')
  if (!Array.isArray(layers)) throw refuse('layers is not an array')
  if (layers.length > layerLimit) throw refuse(`it has ${layers.length} layers, and at most ${layerLimit} are read`)
  return { mediaType, config, layers, rest }
}

/** One signature to be stored. */
export interface SignatureLayer {
  readonly payload: Uint8Array
  /** Base64. */
  readonly signature: string
}

export interface StoredContent {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/**
 * A signature manifest with one signature more, and the config it needs: byte for byte what cosign writes for the same layers, where no
 * other tool has added something of its own.
 */
export function appendSignature(
  existing: SignatureManifest | undefined,
  { payload, signature }: SignatureLayer,
): { readonly manifest: StoredContent; readonly config: StoredContent; readonly payload: StoredContent } {
  const descriptor = { mediaType: payloadMediaType, size: payload.length, digest: digestOf(payload) }
  const layer = { ...descriptor, annotations: { [signatureAnnotation]: signature } }
  const layers = [...(existing?.layers ?? []), layer]
  const mediaType = existing?.mediaType ?? mediaTypes.manifest
  const config = stored(configType(existing?.config), imageConfig(layers))
  const { digest, size } = config.descriptor
  const document = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: config.descriptor.mediaType, size, digest },
    layers,
    ...existing?.rest,
  }
  return { manifest: stored(mediaType, document), config, payload: { descriptor, bytes: payload } }
}

function configType(config: Json | undefined): string {
  return isObject(config) && typeof config.mediaType === 'string' ? config.mediaType : configMediaType
}

/** What go-containerregistry, and so cosign, makes of layers that say nothing about themselves; skopeo wants as many diff_ids as layers. */
function imageConfig(layers: readonly Json[]): object {
  const created = '0001-01-01T00:00:00Z'
  return {
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => (isObject(layer) ? (layer.digest ?? '') : '')) },
    config: {},
  }
}

function stored(mediaType: string, document: object): StoredContent {
  const bytes = new TextEncoder().encode(JSON.stringify(document))
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes }
}

function refuse(why: string): Error {
  return fail('SIGNATURE_MANIFEST_INVALID', `expected a signature manifest of at most ${manifestLimitBytes} bytes: ${why}`)
}
