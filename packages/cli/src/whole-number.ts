import { InvalidArgumentError } from 'commander'

/** Reads the value of an option that counts or measures. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('expected a whole number above 0.')
}
