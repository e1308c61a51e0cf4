import { coreError } from '@reflash/core'

/** Another writer was faster. */
export function conflict(what: string, expected: string | null, found: string | null): Error {
  return coreError('FLEET_CONFLICT', `${what}: expected version ${expected}, found ${found}; read it again`)
}

export function unknown(id: string): Error {
  return coreError('UNKNOWN_DEPLOYMENT', `expected a deployment ${JSON.stringify(id)}, found none`)
}

export function full(what: string, limit: number): Error {
  return coreError('FLEET_FULL', `expected at most ${limit} ${what}, found as many`)
}
