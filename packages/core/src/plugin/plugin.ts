/**
 * What every plugin is: a frozen plain object made by a factory which validates at once and does no I/O.
 * `spec` stays 0 while the contracts may still change, then becomes 1.
 */
export interface Plugin<K extends string> {
  readonly kind: K
  readonly name: string
  readonly spec: 0 | 1
  /** What this plugin leaves open (unsigned artifacts, anonymous devices, ...): printed at start-up and kept in the audit record. */
  readonly opens?: string
  close?(): Promise<void>
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** One run: its abort signal, its one reference time, its progress in bytes. */
export interface RunContext {
  readonly signal: AbortSignal
  readonly now: Date
  progress?(done: number, total: number): void
}

/** One check of a verifier, as data. `inconclusive` (the network failed) is neither pass nor fail: the line fails closed as `unavailable`. */
export interface Check {
  readonly name: string
  readonly status: 'passed' | 'failed' | 'skipped' | 'inconclusive'
  readonly reason?: string
}
