import { isDeviceId } from '@reflash/core'
import { fail } from './http-errors.ts'

const componentPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** A device id that can neither climb a path nor end a line. @throws `INVALID_DEVICE_ID`; the text is a stranger's and is not repeated */
export function deviceIdOf(text: string | undefined): string {
  const letters = text?.length ?? 0
  if (isDeviceId(text)) return text
  throw fail(
    'INVALID_DEVICE_ID',
    `expected a device id of 1 to 128 of A-Z a-z 0-9 . _ : + = @ -, the first a letter or digit; found ${letters} others`,
  )
}

/** @throws `INVALID_PATH` */
export function componentOf(text: string | undefined): string {
  if (text !== undefined && componentPattern.test(text)) return text
  throw fail('INVALID_PATH', 'expected a component of 1 to 64 of A-Z a-z 0-9 . _ -, found something else')
}

/** A positive int32 in decimal. @throws `INVALID_PATH` */
export function sequenceOf(text: string | undefined): number {
  const number = Number(text)
  // One spelling per number: no sign, no leading zero, no exponent.
  if (number >= 1 && number <= 2_147_483_647 && Number.isInteger(number) && String(number) === text) return number
  throw fail('INVALID_PATH', 'expected the number of an offer from 1 to 2147483647, found something else')
}
