import { encodeJson, parseJson, text, whole } from './json-message.ts'

/** That there is something new. */
export interface Notice {
  readonly version: string
  /** Bytes. */
  readonly size: number
}

const versionLimit = 256

/**
 * `down/{id}/notice`: a version is there; a device checks in and learns what it may have. The same document, retained, is OtaFlux's
 * notification on `{topic}/{device}`. It is a hint: it proves nothing, and nothing is installed because of it alone.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | version | text, 1..256 | |
 * | size | 0..9007199254740991 | bytes of the image |
 */
export function encodeNotice({ version, size }: Notice): Uint8Array {
  return encodeJson({ version, size })
}

/** @throws `INVALID_MESSAGE` */
export function decodeNotice(payload: Uint8Array): Notice {
  const message = parseJson(payload)
  return { version: text(message, 'version', versionLimit), size: whole(message, 'size', 0, Number.MAX_SAFE_INTEGER) }
}
