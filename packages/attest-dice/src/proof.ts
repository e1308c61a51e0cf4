import { createHash } from 'node:crypto'
import type { Purpose } from '@reflash/core'

/** What a proof is bound to. */
export interface ProofContext {
  readonly purpose: Purpose
  readonly deviceId: string
  /** Of the channel that the evidence came through, such as RFC 9266 tls-exporter. */
  readonly channelBinding?: Uint8Array
}

/** The fewest bytes of a nonce: RFC 9711 asks for 8; with 16 nobody meets one twice. */
export const nonceLeastBytes = 16
/** RFC 9711, 4.1. */
export const nonceMostBytes = 64

/**
 * The context of a proof as bytes: purpose, space, device id, and where there is a channel binding, space and its lower case hex. Neither
 * purposes nor device ids have spaces.
 */
export function contextOf({ purpose, deviceId, channelBinding }: ProofContext): Uint8Array {
  const channel = channelBinding === undefined ? '' : ` ${Buffer.from(channelBinding).toString('hex')}`
  return new TextEncoder().encode(`${purpose} ${deviceId}${channel}`)
}

/**
 * The message that the key of the leaf signs to prove that the device has it.
 *
 * | bytes | content |
 * |---|---|
 * | 13 | `ota-attest-v1` |
 * | 1 | 00 |
 * | 16..64 | nonce |
 * | 32 | SHA-256 of the leaf's certificate in DER |
 * | 32 | SHA-256 of the context |
 *
 * ECDSA with SHA-256 (P-256) or SHA-384 (P-384) in DER, or Ed25519.
 */
export function proofMessage(nonce: Uint8Array, leaf: Uint8Array, context: Uint8Array): Uint8Array {
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
  return new Uint8Array(Buffer.concat([Buffer.from('ota-attest-v1\0', 'latin1'), nonce, sha256(leaf), sha256(context)]))
}
