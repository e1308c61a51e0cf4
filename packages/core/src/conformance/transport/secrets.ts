import { AssertionError } from 'node:assert/strict'
import type { OtaError } from '../../errors.ts'
import type { TransportInstance } from '../transport-suite.ts'

export function secretsOf({ secrets = [] }: TransportInstance): readonly string[] {
  return secrets
}

/** Holds that an error can be logged: in its message, its details and all of its causes there is no secret. */
export function expectNoSecret(what: string, error: OtaError, secrets: readonly string[]): void {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const shown = `${at.message} ${JSON.stringify(at)} ${Object.values(at).join(' ')}`
    if (secrets.some((secret) => shown.includes(secret)))
      throw new AssertionError({ message: `${what}: expected an error without secrets, found one in ${at.name}` })
  }
}
