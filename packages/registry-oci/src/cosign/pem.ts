import { decodeBase64, encodeBase64 } from './base64.ts'

export interface PemBlock {
  readonly label: string
  readonly bytes: Uint8Array
}

/** Characters; the largest key that is accepted, RSA with 8192 bits, takes 7000 with its encryption. */
export const pemLimit = 65_536

/**
 * Reads text that is one PEM block (RFC 7468) and nothing else, or says why it is not. Text around the block, a second block, and the
 * headers of RFC 1421 are refused: tools differ in which block they take.
 */
export function parsePem(text: string): PemBlock | string {
  if (text.length > pemLimit) return `it is longer than ${pemLimit} characters`
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.trimEnd())
  const label = /^-----BEGIN ([A-Z0-9 ]{1,64})-----$/.exec(lines[0] ?? '')?.[1]
  if (label === undefined) return 'it does not begin with a line -----BEGIN …-----'
  if (lines.length < 3 || lines.at(-1) !== `-----END ${label}-----`) return `it does not end with a line -----END ${label}-----`
  const bytes = decodeBase64(lines.slice(1, -1).join(''))
  if (bytes === undefined) return 'what stands between its first and last line is not one block of base64'
  return { label, bytes }
}

export function formatPem(label: string, bytes: Uint8Array): string {
  const lines = encodeBase64(bytes).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
