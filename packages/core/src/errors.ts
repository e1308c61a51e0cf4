import type { Json } from './content/json.ts'

/**
 * What kind of failure it is; behaviour follows from it everywhere.
 *
 * `rejected`: trust said no, never retry, alert. `unavailable`: retry with backoff. `invalid`: the caller's mistake, or input
 * that is not what it claims. `unsupported`: a power that this composition lacks. `aborted`: somebody cancelled. `internal`: our bug.
 */
export type Fault = 'rejected' | 'unavailable' | 'invalid' | 'unsupported' | 'aborted' | 'internal'

/** The nine rooms of the two lines, and the way back. */
export type Stage = 'resolve' | 'verify' | 'fetch' | 'inspect' | 'admit' | 'plan' | 'deliver' | 'install' | 'confirm' | 'rollback'

/** One reason of an answer: a stable code and a sentence for people. */
export interface Reason {
  readonly code: string
  readonly message: string
}

/** One row of a package's error table: docs/errors.md is generated from it. */
export interface ErrorEntry {
  readonly fault: Fault
  /** What has happened, in one sentence. */
  readonly means: string
  /** What the reader can do about it. */
  readonly next: string
  /** See `OtaError.concerns`. */
  readonly concerns?: 'access'
}

/** The codes of one package. */
export type ErrorTable = Readonly<Record<string, ErrorEntry>>

/** What an error carries beside its code and message. */
export interface ErrorOptions {
  readonly stage?: Stage
  /** Plain facts for machines; never a secret. */
  readonly details?: Readonly<Record<string, Json>>
  /** Every reason, where there are several. */
  readonly because?: readonly Reason[]
  readonly concerns?: 'access'
  readonly cause?: unknown
}

/** The one error class of reflash: `code` is stable, `fault` decides what callers do. */
export class OtaError extends Error {
  override readonly name = 'OtaError'
  readonly code: string
  readonly fault: Fault
  readonly stage: Stage | undefined
  readonly details: Readonly<Record<string, Json>>
  readonly because: readonly Reason[]
  /** `access`: it says something of the way to what was asked for, or of our leave to it, and nothing of what lies there. */
  readonly concerns: 'access' | undefined

  constructor(code: string, fault: Fault, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fault = fault
    this.stage = options.stage
    this.details = Object.freeze({ ...options.details })
    this.because = Object.freeze([...(options.because ?? [{ code, message }])])
    this.concerns = options.concerns
  }

  toJSON(): Json {
    return {
      code: this.code,
      fault: this.fault,
      message: this.message,
      ...(this.stage === undefined ? {} : { stage: this.stage }),
      ...(Object.keys(this.details).length === 0 ? {} : { details: this.details }),
      because: this.because.map(({ code, message }) => ({ code, message })),
    }
  }
}

/** Makes the errors of one package. */
export type ErrorFactory<T extends ErrorTable> = (code: keyof T & string, message: string, options?: ErrorOptions) => OtaError

/** Makes the error factory of one package from its table, so that a code cannot be thrown that is not documented. */
export function errorsOf<const T extends ErrorTable>(table: T): ErrorFactory<T> {
  return (code, message, options) => {
    const { fault, concerns } = table[code] as ErrorEntry
    return new OtaError(code, fault, message, concerns === undefined ? options : { ...options, concerns })
  }
}

/** Whether something thrown is an error of reflash. */
export function isOtaError(error: unknown): error is OtaError {
  return error instanceof OtaError
}
