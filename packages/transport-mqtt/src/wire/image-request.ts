import { chunkLimitBytes, requestLimitBytes } from './chunk.ts'
import { base64, encodeJson, invalid, numberOf, parseJson, text, toBase64, whole } from './json-message.ts'
import { sequenceLimit } from './report.ts'
import { readToken } from './token.ts'

/** Bytes of a chunk at least; below, heads and acknowledgements are more than the image. */
const chunkLeastBytes = 256
const componentPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export interface ImageRequest {
  /** Also the transfer of the chunks that answer it. */
  readonly re: number
  readonly token?: string
  readonly seq: number
  readonly component: string
  readonly offset: number
  /** Bytes. */
  readonly length: number
  readonly chunkBytes: number
  /** The chunks of this request that the device has already; they are not sent again. */
  readonly have: Uint8Array
}

/**
 * `up/{id}/image`: a part of an image, answered by chunks on `down/{id}/image`, each at `offset` plus a multiple of `chunkBytes`, only the last
 * one shorter; or by an error on `down/{id}/answer`. Asked for again, with `have`, where chunks stay away. JSON; unknown members are ignored.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re, token? | | as in a check-in; `re` is the transfer of the chunks |
 * | seq | 1..2147483647 | of the offer |
 * | component | 1..64 of A-Z a-z 0-9 . _ - | |
 * | offset | 0..4294967295 | bytes |
 * | length | 1..262144 | bytes, none of them beyond the image |
 * | chunkBytes | 256..65536 | |
 * | have? | base64 | bitmap: bit `i`, from the least of byte 0 on, set where chunk `i` of this request is there |
 */
export function encodeImageRequest({ re, token, seq, component, offset, length, chunkBytes, have }: ImageRequest): Uint8Array {
  return encodeJson({ re, token, seq, component, offset, length, chunkBytes, have: have.length === 0 ? undefined : toBase64(have) })
}

/** @throws `INVALID_MESSAGE` */
export function decodeImageRequest(payload: Uint8Array): ImageRequest {
  const message = parseJson(payload)
  const token = readToken(message)
  const component = text(message, 'component', 64)
  if (!componentPattern.test(component)) throw invalid('component', '1 to 64 of A-Z a-z 0-9 . _ -', 'others')
  return {
    re: numberOf(message),
    ...(token === undefined ? {} : { token }),
    seq: whole(message, 'seq', 1, sequenceLimit),
    component,
    offset: whole(message, 'offset', 0, 0xffff_ffff),
    length: whole(message, 'length', 1, requestLimitBytes),
    chunkBytes: whole(message, 'chunkBytes', chunkLeastBytes, chunkLimitBytes),
    have: message.have === undefined ? new Uint8Array() : base64(message, 'have', requestLimitBytes / chunkLeastBytes / 8),
  }
}
