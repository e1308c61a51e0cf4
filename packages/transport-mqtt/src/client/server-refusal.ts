import { fail } from '../mqtt-errors.ts'
import type { WireError } from '../wire/wire-error.ts'

/** What an error that the server told means for the device. */
export function serverRefusal({ code, fault, message, because }: WireError): Error {
  const details = { remoteCode: code, ...(message === '' ? {} : { remoteMessage: message }) }
  const options = { details, ...(because.length === 0 ? {} : { because }) }
  const found = `found ${code}`
  if (fault === 'rejected') return fail('MQTT_SERVER_REFUSED', `expected to be let in, ${found}`, options)
  if (fault === 'invalid') return fail('MQTT_REQUEST_REFUSED', `expected the server to take the request, ${found}`, options)
  if (fault === 'unsupported') return fail('MQTT_REQUEST_UNSUPPORTED', `expected a server that can do this, ${found}`, options)
  return fail('MQTT_SERVER_BUSY', `expected an answer, ${found}`, options)
}
