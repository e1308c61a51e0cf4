import { hash, timingSafeEqual } from 'node:crypto'
import { bearerToken } from '../authenticate.ts'
import { fail } from '../http-errors.ts'

/** More people than operate one fleet; every token is compared with each. */
const operatorLimit = 1_000
const tokenLimit = 1_024

/** Says whose token it is. */
export type Operators = (authorization: string | undefined) => string

/**
 * Knows operators by their tokens, or by `sha256:<hex>` of them.
 * @throws `INVALID_OPTION` naming the operator, never the token; the function that it makes throws `NOT_AUTHENTICATED`
 */
export function operatorsOf(tokens: Readonly<Record<string, string>> | ReadonlyMap<string, string>): Operators {
  const known = [...(tokens instanceof Map ? tokens : Object.entries(tokens))].map(([name, token]) => ({ name, hash: stored(name, token) }))
  if (known.length === 0 || known.length > operatorLimit)
    throw fail('INVALID_OPTION', `tokens: expected 1 to ${operatorLimit} operators, found ${known.length}`)
  return (authorization) => {
    const token = bearerToken(authorization)
    if (token !== undefined && token.length <= tokenLimit) {
      const given = sha256(token)
      // All of them, and each in constant time: how long it takes tells nothing.
      const found = known.filter((operator) => timingSafeEqual(operator.hash, given))
      if (found[0] !== undefined) return found[0].name
    }
    throw fail('NOT_AUTHENTICATED', 'expected `Authorization: Bearer <token>` with the token of an operator, found none that is known')
  }
}

function stored(name: string, token: string): Buffer {
  if (!/^[A-Za-z0-9][A-Za-z0-9._:+=@-]{0,127}$/.test(name))
    throw fail('INVALID_OPTION', 'tokens: expected names of operators of letters, digits and . _ : + = @ -, found another')
  if (typeof token !== 'string' || token.length < 8 || token.length > tokenLimit)
    throw fail('INVALID_OPTION', `tokens: operator ${name}: expected a token of 8 to ${tokenLimit} characters, or sha256:<64 hex digits>`)
  if (!token.startsWith('sha256:')) return sha256(token)
  if (!/^sha256:[0-9a-f]{64}$/.test(token))
    throw fail('INVALID_OPTION', `tokens: operator ${name}: expected sha256:<64 lower case hex digits>`)
  return Buffer.from(token.slice(7), 'hex')
}

function sha256(text: string): Buffer {
  return Buffer.from(hash('sha256', text), 'hex')
}
