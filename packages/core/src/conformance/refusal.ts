import { AssertionError, match, ok, strictEqual } from 'node:assert/strict'
import { type Fault, isOtaError, type OtaError } from '../errors.ts'

/** What an error must be. */
export interface Expected {
  /** One fault, or several where the contract leaves a choice. */
  readonly fault: Fault | readonly Fault[]
  /** Where the contract names it. */
  readonly code?: string
}

/** Holds that a call fails with the error that the contract names, and returns it. */
export async function refused(what: string, expected: Expected, call: () => unknown): Promise<OtaError> {
  let value: unknown
  try {
    value = await call()
  } catch (error) {
    return otaError(what, error, expected)
  }
  throw new AssertionError({ message: `${what}: expected it to be refused (${shown(expected)}), found ${describe(value)}` })
}

/** Holds that something thrown is an `OtaError` of this kind, and returns it. */
export function otaError(what: string, error: unknown, expected: Expected): OtaError {
  if (!isOtaError(error)) {
    const found = error instanceof Error ? `${error.name}: ${error.message}` : describe(error)
    throw new AssertionError({ message: `${what}: expected an OtaError (${shown(expected)}), found ${found}` })
  }
  const faults = typeof expected.fault === 'string' ? [expected.fault] : expected.fault
  ok(faults.includes(error.fault), `${what}: expected ${shown(expected)}, found ${error.code} (${error.fault}): ${error.message}`)
  if (expected.code !== undefined)
    strictEqual(error.code, expected.code, `${what}: expected ${shown(expected)}, found ${error.code}: ${error.message}`)
  match(error.code, /^[A-Z][A-Z0-9_]*$/, `${what}: expected a code in capitals, found ${error.code}`)
  ok(error.message.length > 0, `${what}: expected a message for people, found none`)
  ok(JSON.stringify(error) !== undefined, `${what}: expected an error that JSON can carry`)
  return error
}

/** Holds that nothing but these errors comes out of a call that may also end well; returns what came of it. */
export async function survives<T>(what: string, expected: Expected, call: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    otaError(what, error, expected)
    return undefined
  }
}

/** Holds that a call with a signal that has fired before is refused as `aborted`. */
export async function refusesFired(what: string, call: (signal: AbortSignal) => unknown): Promise<void> {
  await refused(`${what} with a signal that has fired`, { fault: 'aborted' }, () => call(AbortSignal.abort()))
}

function shown({ fault, code }: Expected): string {
  const faults = typeof fault === 'string' ? fault : fault.join(' or ')
  return code === undefined ? `fault ${faults}` : `${code}, fault ${faults}`
}

function describe(value: unknown): string {
  if (value === undefined) return 'that it went well'
  if (typeof value === 'object' && value !== null) return 'an object'
  return JSON.stringify(value)?.slice(0, 100) ?? typeof value
}
