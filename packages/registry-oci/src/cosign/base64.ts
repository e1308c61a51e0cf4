/**
 * Decodes standard base64 (RFC 4648 section 4) or answers `undefined`: padding is required, and neither white space, foreign
 * characters nor non-zero bits in the padding are allowed, so that one content has one spelling only.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? new Uint8Array(bytes) : undefined
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
