import { type HttpResponse, textResponse } from '../../http-message.ts'
import { refusalOf } from '../../status-of.ts'
import type { Dialect, DialectContext, Route } from '../dialect.ts'
import { firmware } from './firmware.ts'
import { textType, version } from './version.ts'

/**
 * What OtaFlux (commit 0c612be) tells its devices, byte for byte where it tells something right. Its webhook, MQTT notice and
 * metrics are not of this dialect.
 */
export const otafluxDialect: Dialect = Object.freeze({
  name: 'otaflux',
  routes: (context: DialectContext): readonly Route[] => [
    { name: 'otaflux.version', method: 'GET', path: '/version', answer: (request) => version(context, request), refuse },
    { name: 'otaflux.firmware', method: 'GET', path: '/firmware', answer: (request) => firmware(context, request), refuse },
  ],
})

/** Text, as OtaFlux; but a refused signature, a registry that is down and an unknown device are told apart, by status and by `Reflash-Code`. */
function refuse(error: unknown): HttpResponse {
  const { status, code, message, headers } = refusalOf(error)
  return { ...textResponse(status, textType, message, [...headers, 'Reflash-Code', code]), code, cause: error, close: true }
}
