import type { Json, Rollout } from '@reflash/core'
import { fail } from '../http-errors.ts'
import { type HttpRequest, type HttpResponse, jsonType, textResponse } from '../http-message.ts'
import { jsonBody } from '../json-body.ts'
import { deviceIdOf } from '../names.ts'
import type { Dialect, DialectContext, Route } from '../protocol/dialect.ts'
import { refuseAsJson } from '../status-of.ts'
import { operatorsOf } from './operators.ts'
import { deviceQuery, readLabels, readNewDeployment } from './read-query.ts'

export interface ManagementOptions {
  readonly rollout: Rollout
  /** Names of operators and their tokens, or `sha256:<hex>` of them. The name stands in the audit record. */
  readonly tokens: Readonly<Record<string, string>> | ReadonlyMap<string, string>
}

/** Lines of the audit record that are shown. */
const auditLimit = 100

/**
 * Makes the dialect that operators speak, for a transport of its own: devices have no business at its address.
 *
 * | request | answer |
 * |---|---|
 * | GET /v1/deployments | `{"deployments": [...]}`, the youngest first |
 * | POST /v1/deployments | the new one; body see `readNewDeployment` |
 * | GET /v1/deployments/{id} | `{"deployment", "waits", "audit"}`; `waits` says what a running one waits for |
 * | POST /v1/deployments/{id}/pause, resume, abort | the deployment as it is then |
 * | GET /v1/devices?after&limit&select | `{"devices": [...]}`, by id |
 * | GET /v1/devices/{id} | why it is offered something, or nothing |
 * | PUT /v1/devices/{id}/labels | the device; body `{"labels": {...}}` replaces all |
 *
 * Every request needs `Authorization: Bearer <token>`; errors are those of the native protocol.
 * @throws `INVALID_OPTION`
 */
export function managementDialect({ rollout, tokens }: ManagementOptions): Dialect {
  const operator = operatorsOf(tokens)
  type Answer = (request: HttpRequest, by: string, params: readonly string[]) => Promise<unknown>

  const route = (name: string, method: Route['method'], path: string, answer: Answer): Route => ({
    name: `management.${name}`,
    method,
    path,
    async answer(request, params): Promise<HttpResponse> {
      const by = operator(request.header('authorization'))
      const document = (await answer(request, by, params)) as Json
      return textResponse(200, jsonType, JSON.stringify(document), ['Cache-Control', 'no-store'])
    },
    refuse: refuseAsJson,
  })
  const named = (params: readonly string[]): string => {
    const [id = ''] = params
    if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(id)) return id
    throw fail('INVALID_PATH', 'expected the id of a deployment: letters, digits and . _ -, found something else')
  }

  return Object.freeze<Dialect>({
    name: 'management',
    routes: ({ limits }: DialectContext) => {
      const moves = (['pause', 'resume', 'abort'] as const).map((action) =>
        route(action, 'POST', `/v1/deployments/:id/${action}`, (_request, by, params) => rollout[action](named(params), { by })),
      )
      return [
        route('list', 'GET', '/v1/deployments', async ({ signal }) => ({ deployments: await rollout.list({ signal }) })),
        // What changes something is carried out even where its caller leaves.
        route('create', 'POST', '/v1/deployments', async (request, by) =>
          rollout.create(readNewDeployment(await jsonBody(request, limits.checkInBytes)), { by }),
        ),
        route('show', 'GET', '/v1/deployments/:id', async ({ signal }, _by, params) => ({
          deployment: await rollout.show(named(params), { signal }),
          waits: await rollout.waits(named(params), { signal }),
          audit: await rollout.audit({ subject: named(params), limit: auditLimit }, { signal }),
        })),
        ...moves,
        route('devices', 'GET', '/v1/devices', async ({ query, signal }) => ({
          devices: await rollout.devices(deviceQuery(query), { signal }),
        })),
        route('explain', 'GET', '/v1/devices/:device', ({ signal }, _by, [device]) => rollout.explain(deviceIdOf(device), { signal })),
        route('label', 'PUT', '/v1/devices/:device/labels', async (request, by, [device]) =>
          rollout.label(deviceIdOf(device), readLabels(await jsonBody(request, limits.checkInBytes)), { by }),
        ),
      ]
    },
  })
}
