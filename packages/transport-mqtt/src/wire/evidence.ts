import type { Evidence, JsonObject } from '@reflash/core'
import { base64, text, toBase64 } from './json-message.ts'

const mediaTypeLimit = 128
/** A DICE chain of eight certificates has ten thousand bytes. */
const bodyLimitBytes = 32 * 1024
/** Bytes of a challenge; those of reflash have 32. */
export const challengeLimitBytes = 256

/**
 * Evidence (RFC 9334) as a member of other messages.
 *
 * | member | type |
 * |---|---|
 * | mediaType | text, 1..128 |
 * | body | base64 with padding, at most 32 KiB |
 */
export function encodeEvidence({ mediaType, body }: Evidence): object {
  return { mediaType, body: toBase64(body) }
}

/** @throws `INVALID_MESSAGE` */
export function readEvidence(from: JsonObject): Evidence {
  return { mediaType: text(from, 'mediaType', mediaTypeLimit), body: base64(from, 'body', bodyLimitBytes) }
}
