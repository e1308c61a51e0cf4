import { fail } from '../../http-errors.ts'
import { type HttpResponse, textResponse } from '../../http-message.ts'
import { refusalOf } from '../../status-of.ts'
import type { Dialect, Route } from '../dialect.ts'
import { artifact } from './artifact.ts'
import { basePoll } from './base-poll.ts'
import { cancelAction, cancelFeedback } from './cancel-action.ts'
import { configData } from './config-data.ts'
import { deploymentBase, installedBase } from './deployment-base.ts'
import { deploymentFeedback } from './feedback.ts'
import { createDesk, type Desk } from './hawkbit-desk.ts'

export interface HawkbitOptions {
  /** The first part of every path; `DEFAULT` where absent, as hawkBit has it. */
  readonly tenant?: string
  /** The model of all devices that speak it: a poll does not say. Unknown where absent. */
  readonly model?: string
}

/**
 * hawkBit's Direct Device Integration API, version 1, as its real clients use it (SWUpdate, rauc-hawkbit-updater, Zephyr). Its paths are
 * `/{tenant}/controller/v1/{controllerId}`; an offer is an action, its number the action's id.
 * @throws `INVALID_OPTION`
 */
export function hawkbitDialect({ tenant = 'DEFAULT', model }: HawkbitOptions = {}): Dialect {
  if (typeof tenant !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(tenant)) {
    throw fail('INVALID_OPTION', 'tenant: expected 1 to 64 letters, digits and . _ -, found something else')
  }
  if (model !== undefined && (typeof model !== 'string' || model === '' || model.length > 128)) {
    throw fail('INVALID_OPTION', 'model: expected text of 1 to 128 letters, found something else')
  }
  return Object.freeze<Dialect>({
    name: 'hawkbit',
    routes: (context) => routesOf(createDesk(context, `/${tenant}/controller/v1`, model), `/${tenant}/controller/v1/:controller`),
  })
}

function routesOf(desk: Desk, base: string): readonly Route[] {
  const route = (
    name: string,
    method: Route['method'],
    path: string,
    answer: (desk: Desk, ...given: Parameters<Route['answer']>) => ReturnType<Route['answer']>,
  ): Route => ({
    name: `hawkbit.${name}`,
    method,
    path: `${base}${path}`,
    answer: (request, params) => answer(desk, request, params),
    refuse,
  })
  return [
    route('poll', 'GET', '', basePoll),
    route('config-data', 'PUT', '/configData', configData),
    route('deployment', 'GET', '/deploymentBase/:action', deploymentBase),
    route('feedback', 'POST', '/deploymentBase/:action/feedback', deploymentFeedback),
    route('installed', 'GET', '/installedBase/:action', installedBase),
    route('cancel', 'GET', '/cancelAction/:action', cancelAction),
    route('cancel-feedback', 'POST', '/cancelAction/:action/feedback', cancelFeedback),
    route('artifact', 'GET', '/softwaremodules/:module/artifacts/:file', artifact),
  ]
}

/** `{"errorCode", "message"}` as hawkBit words it; 401 without a body; 410 for an action that has ended. */
function refuse(error: unknown): HttpResponse {
  const { status, code, message, headers } = refusalOf(error)
  const told = code === 'OFFER_CLOSED' ? 410 : status
  if (told === 401) return { status: told, headers: ['Content-Length', '0', ...headers], length: 0, code, cause: error }
  const text = JSON.stringify({ errorCode: `reflash.${code}`, message })
  return { ...textResponse(told, 'application/json', text, headers), code, cause: error }
}
