import { fail } from '../core-errors.ts'
import type { Descriptor, Platform } from './descriptor.ts'
import { isDigest } from './digest.ts'
import { manifestLimitBytes, mediaTypes } from './media-types.ts'

/** What one artifact is made of. OCI image spec, manifest.md. */
export interface ImageManifest {
  readonly mediaType: string
  readonly artifactType?: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations: Readonly<Record<string, string>>
}

/** Which manifests belong together, one per platform as a rule. OCI image spec, image-index.md. */
export interface ImageIndex {
  readonly mediaType: string
  readonly artifactType?: string
  readonly manifests: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations: Readonly<Record<string, string>>
}

/** Layers of a manifest, or manifests of an index: far above any release, and it bounds what one document can make a server do. */
export const descriptorLimit = 1000

/** RFC 6838, 4.2; every name at most 127 characters. Parameters are no part of a media type here. */
const mediaTypePattern = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/
const platformPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

type Fields = Readonly<Record<string, unknown>>
type Code = 'INVALID_MANIFEST' | 'INVALID_DESCRIPTOR'

/** Whether content of this media type is read by `parseManifest`, by `parseIndex`, or by neither. */
export function manifestKind(mediaType: string): 'manifest' | 'index' | undefined {
  if (mediaType === mediaTypes.manifest || mediaType === mediaTypes.dockerManifest) return 'manifest'
  if (mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex) return 'index'
  return undefined
}

/**
 * Reads an OCI image manifest or a Docker v2 manifest from bytes whose digest was checked. `mediaType` is what they were served under.
 * @throws `MANIFEST_TOO_LARGE`, `INVALID_MANIFEST`, `INVALID_DESCRIPTOR`
 */
export function parseManifest(bytes: Uint8Array, mediaType?: string): ImageManifest {
  const document = documentOf(bytes)
  const type = typeOf(document, 'manifest', mediaType)
  // OCI image spec, manifest.md, security: one document that reads as two kinds means different things to two readers.
  refuse(document, ['manifests', 'fsLayers'], 'an image manifest')
  const config = parseDescriptor(field(document, 'config'), 'config')
  const layers = descriptors(document, 'layers')
  const common = commonOf(document)
  if (config.mediaType === mediaTypes.empty && common.artifactType === undefined) {
    throw fail('INVALID_MANIFEST', `expected artifactType beside the empty config, found none`)
  }
  return Object.freeze({ mediaType: type, config, layers, ...common })
}

/**
 * Reads an OCI image index or a Docker manifest list from bytes whose digest was checked. `mediaType` is what they were served under.
 * @throws `MANIFEST_TOO_LARGE`, `INVALID_MANIFEST`, `INVALID_DESCRIPTOR`
 */
export function parseIndex(bytes: Uint8Array, mediaType?: string): ImageIndex {
  const document = documentOf(bytes)
  const type = typeOf(document, 'index', mediaType)
  refuse(document, ['layers', 'config', 'fsLayers'], 'an image index')
  return Object.freeze({ mediaType: type, manifests: descriptors(document, 'manifests'), ...commonOf(document) })
}

/**
 * Reads a descriptor out of parsed JSON and keeps the fields that reflash uses. `where` names its place in error messages.
 * @throws `INVALID_DESCRIPTOR`
 */
export function parseDescriptor(json: unknown, where = 'descriptor'): Descriptor {
  if (!isObject(json)) throw fail('INVALID_DESCRIPTOR', `${where}: expected an object, found ${show(json)}`)
  const mediaType = mediaTypeField(json, 'mediaType', where, 'INVALID_DESCRIPTOR')
  if (mediaType === undefined) throw fail('INVALID_DESCRIPTOR', `${where}.mediaType: expected a media type, found none`)
  const digest = field(json, 'digest')
  if (!isDigest(digest))
    throw fail('INVALID_DESCRIPTOR', `${where}.digest: expected sha256:<64 hex digits> or its like, found ${show(digest)}`)
  const size = field(json, 'size')
  if (!Number.isSafeInteger(size) || (size as number) < 0) {
    throw fail('INVALID_DESCRIPTOR', `${where}.size: expected bytes as an integer from 0 to 2^53-1, found ${show(size)}`)
  }
  const artifactType = mediaTypeField(json, 'artifactType', where, 'INVALID_DESCRIPTOR')
  const platform = platformOf(field(json, 'platform'), `${where}.platform`)
  const annotations = annotationsOf(field(json, 'annotations'), `${where}.annotations`, 'INVALID_DESCRIPTOR')
  return Object.freeze({
    mediaType,
    digest,
    size: size as number,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(platform === undefined ? {} : { platform }),
    ...(annotations === undefined ? {} : { annotations }),
  })
}

function documentOf(bytes: Uint8Array): Fields {
  if (bytes.length > manifestLimitBytes) {
    throw fail('MANIFEST_TOO_LARGE', `manifest: expected at most ${manifestLimitBytes} bytes, found ${bytes.length}; the limit is fixed`)
  }
  let document: unknown
  try {
    // Refusing what is not UTF-8 keeps two readers from seeing two texts under one signature; a BOM stays, and JSON refuses it.
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    throw fail('INVALID_MANIFEST', `expected JSON in UTF-8, found ${bytes.length} bytes that are not`, { cause })
  }
  if (!isObject(document)) throw fail('INVALID_MANIFEST', `expected a JSON object, found ${show(document)}`)
  const version = field(document, 'schemaVersion')
  if (version !== 2) throw fail('INVALID_MANIFEST', `schemaVersion: expected 2, found ${show(version)}`)
  return document
}

function typeOf(document: Fields, kind: 'manifest' | 'index', served: string | undefined): string {
  const stated = mediaTypeField(document, 'mediaType', '', 'INVALID_MANIFEST')
  if (stated !== undefined && served !== undefined && stated !== served) {
    throw fail('INVALID_MANIFEST', `mediaType: expected ${show(served)}, which it was served under, found ${show(stated)}`)
  }
  const type = stated ?? served ?? mediaTypes[kind]
  if (manifestKind(type) !== kind) throw fail('INVALID_MANIFEST', `mediaType: expected that of an image ${kind}, found ${show(type)}`)
  return type
}

function refuse(document: Fields, names: readonly string[], what: string): void {
  const found = names.find((name) => Object.hasOwn(document, name))
  if (found !== undefined) throw fail('INVALID_MANIFEST', `expected ${what}, found one that also has "${found}"`)
}

function commonOf(document: Fields) {
  const artifactType = mediaTypeField(document, 'artifactType', '', 'INVALID_MANIFEST')
  const subject = field(document, 'subject')
  return {
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(subject === undefined ? {} : { subject: parseDescriptor(subject, 'subject') }),
    annotations: annotationsOf(field(document, 'annotations'), 'annotations', 'INVALID_MANIFEST') ?? Object.freeze({}),
  }
}

function descriptors(document: Fields, name: string): readonly Descriptor[] {
  const list = field(document, name)
  if (!Array.isArray(list)) throw fail('INVALID_MANIFEST', `${name}: expected an array, found ${show(list)}`)
  if (list.length > descriptorLimit) {
    throw fail('INVALID_MANIFEST', `${name}: expected at most ${descriptorLimit} entries, found ${list.length}; the limit is fixed`)
  }
  return Object.freeze(list.map((entry, index) => parseDescriptor(entry, `${name}[${index}]`)))
}

// Absent and null are the same: Go programs write null for what they leave out.
function field(object: Fields, name: string): unknown {
  return Object.hasOwn(object, name) ? (object[name] ?? undefined) : undefined
}

function mediaTypeField(object: Fields, name: string, where: string, code: Code): string | undefined {
  const value = field(object, name)
  // An empty string is what Go programs write for a type that they do not know.
  if (value === undefined || (value === '' && name === 'artifactType')) return undefined
  if (typeof value === 'string' && mediaTypePattern.test(value)) return value
  throw fail(code, `${where === '' ? '' : `${where}.`}${name}: expected a media type such as ${mediaTypes.manifest}, found ${show(value)}`)
}

function annotationsOf(value: unknown, where: string, code: Code): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined
  if (!isObject(value)) throw fail(code, `${where}: expected an object of strings, found ${show(value)}`)
  const entries = Object.entries(value)
  const wrong = entries.find(([, text]) => typeof text !== 'string')
  if (wrong !== undefined) throw fail(code, `${where}[${show(wrong[0])}]: expected a string, found ${show(wrong[1])}`)
  // fromEntries defines own properties, so that a key named __proto__ stays a key.
  return Object.freeze(Object.fromEntries(entries as [string, string][]))
}

function platformOf(value: unknown, where: string): Platform | undefined {
  if (value === undefined) return undefined
  if (!isObject(value)) throw fail('INVALID_DESCRIPTOR', `${where}: expected an object, found ${show(value)}`)
  const word = (name: string): string => {
    const text = field(value, name)
    if (typeof text === 'string' && platformPattern.test(text)) return text
    throw fail('INVALID_DESCRIPTOR', `${where}.${name}: expected letters, digits, ".", "_" or "-", at most 64, found ${show(text)}`)
  }
  const variant = field(value, 'variant')
  const named = variant !== undefined && variant !== ''
  return Object.freeze({ os: word('os'), architecture: word('architecture'), ...(named ? { variant: word('variant') } : {}) })
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function show(value: unknown): string {
  if (value === undefined) return 'none'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
