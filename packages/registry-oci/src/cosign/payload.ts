import type { Digest, Json } from '@reflash/core'
import { fail } from './cosign-errors.ts'
import { isObject, parseStrictJson, unknownKeys } from './strict-json.ts'

/** Bytes; a payload has about 250, and what a signer adds under `optional` stays small. */
export const payloadLimitBytes = 64 * 1024

/** cosign writes the first; the second is the older one of containers/image. */
const types = ['cosign container image signature', 'atomic container signature'] as const

/** What a signature says. */
export interface Payload {
  /** The digest that is signed, as it stands there: not yet known to be one. */
  readonly digest: string
  /** The repository, with or without a tag, that the signer claims it signed in. */
  readonly dockerReference: string
  readonly optional: Readonly<Record<string, Json>>
}

export interface PayloadClaims {
  readonly digest: Digest
  readonly dockerReference: string
  readonly optional?: Readonly<Record<string, Json>>
}

/**
 * The bytes to be signed, exactly as cosign makes them.
 *
 * | key                                    | value                                                      |
 * |----------------------------------------|------------------------------------------------------------|
 * | critical.identity.docker-reference     | repository, often with a tag; a claim                      |
 * | critical.image.docker-manifest-digest  | digest of the signed manifest or index                     |
 * | critical.type                          | `cosign container image signature`                         |
 * | optional                               | an object of further claims, or null                       |
 *
 * Compact JSON in this order, `optional` with its keys sorted; `<`, `>`, `&`, U+2028 and U+2029 escaped as Go's encoder does.
 * cosign SIGNATURE_SPEC, simple signing; containers/image, containers-signature(5).
 */
export function formatPayload({ digest, dockerReference, optional = {} }: PayloadClaims): Uint8Array {
  const keys = Object.keys(optional).sort()
  const payload = {
    critical: {
      identity: { 'docker-reference': dockerReference },
      image: { 'docker-manifest-digest': digest },
      type: types[0],
    },
    optional: keys.length === 0 ? null : Object.fromEntries(keys.map((key) => [key, optional[key]])),
  }
  const escaped = JSON.stringify(payload).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return new TextEncoder().encode(escaped)
}

/**
 * Reads a payload whose signature was verified before.
 * @throws `SIGNATURE_PAYLOAD_INVALID`
 */
export function parsePayload(bytes: Uint8Array): Payload {
  if (bytes.length > payloadLimitBytes) throw refuse(`it has ${bytes.length} bytes`)
  const { critical, optional } = fields(parseStrictJson(bytes, refuse), 'the payload', ['critical', 'optional'])
  // containers-signature(5): whoever does not know a critical field must refuse the signature, as the field may take back what the rest says.
  const { identity, image, type } = fields(critical, 'critical', ['identity', 'image', 'type'])
  const dockerReference = fields(identity, 'critical.identity', ['docker-reference'])['docker-reference']
  const digest = fields(image, 'critical.image', ['docker-manifest-digest'])['docker-manifest-digest']
  if (typeof type !== 'string' || !(types as readonly string[]).includes(type)) throw refuse(`critical.type is ${shown(type)}`)
  if (typeof digest !== 'string') throw refuse('critical.image.docker-manifest-digest is not a string')
  if (typeof dockerReference !== 'string') throw refuse('critical.identity.docker-reference is not a string')
  if (optional !== undefined && optional !== null && !isObject(optional)) throw refuse('optional is neither an object nor null')
  return { digest, dockerReference, optional: optional ?? {} }
}

function fields(value: unknown, what: string, known: readonly string[]): { readonly [key: string]: Json | undefined } {
  if (!isObject(value)) throw refuse(`${what} is not an object`)
  const unknown = unknownKeys(value, known)
  if (unknown.length > 0) throw refuse(`${what} has the unknown key ${shown(unknown[0])}`)
  return Object.fromEntries(known.map((key) => [key, Object.hasOwn(value, key) ? value[key] : undefined]))
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : typeof value
}

function refuse(why: string): Error {
  return fail('SIGNATURE_PAYLOAD_INVALID', `expected a simple signing payload of at most ${payloadLimitBytes} bytes: ${why}`)
}
