import type { Evidence, Purpose } from '@reflash/core'
import { fail } from './dice-errors.ts'

/** The media type of evidence that `diceVerifier` reads. */
export const diceEvidenceType = 'application/vnd.reflash.dice+json'

/** A chain, and the proof that the device has the key of its leaf. */
export interface DiceEvidence {
  /** DER, leaf first. */
  readonly certificates: readonly Uint8Array[]
  readonly proof?: DiceProof
}

/** What a device has signed, and the signature. */
export interface DiceProof {
  readonly nonce: Uint8Array
  readonly purpose: Purpose
  readonly deviceId: string
  readonly signature: Uint8Array
}

/** Ten certificates of 16 KiB and a proof, in base64: 219 KiB. */
const evidenceLimitBytes = 224 * 1024
/** More than a chain may have, so that the check of the chain tells it. */
const certificateLimit = 32
const textLimit = 256

/**
 * Writes evidence: JSON with nothing else in it.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | certificates | list of base64 | DER, leaf first; the anchor may be left out |
 * | proof.nonce | base64 | the challenge |
 * | proof.purpose | `enrol`, `admit`, `confirm` | what it was asked for |
 * | proof.deviceId | text | as the device is known to the server |
 * | proof.signature | base64 | by the key of the leaf: `proofMessage` |
 */
export function encodeEvidence({ certificates, proof }: DiceEvidence): Evidence {
  const document = {
    certificates: certificates.map(base64),
    ...(proof === undefined
      ? {}
      : { proof: { nonce: base64(proof.nonce), purpose: proof.purpose, deviceId: proof.deviceId, signature: base64(proof.signature) } }),
  }
  return { mediaType: diceEvidenceType, body: new TextEncoder().encode(JSON.stringify(document)) }
}

/** @throws `EVIDENCE_INVALID` */
export function decodeEvidence({ mediaType, body }: Evidence): DiceEvidence {
  if (mediaType !== diceEvidenceType) throw fail('EVIDENCE_INVALID', `expected evidence of type ${diceEvidenceType}, found another`)
  if (body.byteLength > evidenceLimitBytes)
    throw fail('EVIDENCE_INVALID', `expected at most ${evidenceLimitBytes} bytes, found ${body.byteLength}`)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (cause) {
    throw fail('EVIDENCE_INVALID', 'expected JSON in UTF-8, found something else', { cause })
  }
  const { certificates, proof } = members(json, 'evidence', ['certificates', 'proof'])
  if (!Array.isArray(certificates) || certificates.length > certificateLimit)
    throw wrong('certificates', `a list of at most ${certificateLimit}`)
  return {
    certificates: certificates.map((certificate, index) => bytesOf(certificate, `certificates[${index}]`)),
    ...(proof === undefined ? {} : { proof: readProof(proof) }),
  }
}

function readProof(json: unknown): DiceProof {
  const { nonce, purpose, deviceId, signature } = members(json, 'proof', ['nonce', 'purpose', 'deviceId', 'signature'])
  if (purpose !== 'enrol' && purpose !== 'admit' && purpose !== 'confirm') throw wrong('proof.purpose', 'enrol, admit or confirm')
  if (typeof deviceId !== 'string' || deviceId.length > textLimit) throw wrong('proof.deviceId', `text of at most ${textLimit} letters`)
  return { nonce: bytesOf(nonce, 'proof.nonce'), purpose, deviceId, signature: bytesOf(signature, 'proof.signature') }
}

function members(json: unknown, at: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw wrong(at, 'an object')
  if (Object.keys(json).some((name) => !known.includes(name))) throw wrong(at, `only ${known.join(', ')}`)
  return json as Readonly<Record<string, unknown>>
}

// One encoding for each value: what has two cannot be compared, cached or revoked.
function bytesOf(json: unknown, at: string): Uint8Array {
  const bytes = typeof json === 'string' ? Buffer.from(json, 'base64') : undefined
  if (bytes === undefined || bytes.toString('base64') !== json) throw wrong(at, 'base64 with padding')
  return new Uint8Array(bytes)
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function wrong(at: string, expected: string): Error {
  return fail('EVIDENCE_INVALID', `${at}: expected ${expected}, found something else`)
}
