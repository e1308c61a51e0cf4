/** Finite bounds of the client. */
export interface ClientLimits {
  /** Bytes of an answer that is not an image. */
  readonly answerBytes: number
  /** Time in milliseconds without a byte. */
  readonly idleTimeoutMs: number
  /** How often in a row a download may break without a new byte. */
  readonly downloadAttempts: number
  /** Milliseconds before the second attempt; doubled each time. */
  readonly backoffMs: number
  readonly longestBackoffMs: number
}

export const defaultClientLimits: ClientLimits = Object.freeze({
  // An offer of sixteen components with long URLs is 20 KB.
  answerBytes: 64 * 1024,
  // Shorter than the server's, so that it is the device that begins anew.
  idleTimeoutMs: 30_000,
  // With the delays below: a router that restarts.
  downloadAttempts: 8,
  backoffMs: 500,
  longestBackoffMs: 30_000,
})
