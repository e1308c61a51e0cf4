import type { JsonObject } from '@reflash/core'
import { optionalText } from './json-message.ts'

/** Characters; a token of 32 random bytes has 64. */
const tokenLimit = 1024

/** The token of a message, for brokers that do not say who is who. @throws `INVALID_MESSAGE` */
export function readToken(message: JsonObject): string | undefined {
  return optionalText(message, 'token', tokenLimit)
}
