import type { JsonObject, Report } from '@reflash/core'
import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { described, invalid, jsonBody, objectMember } from '../../json-body.ts'
import { sequenceOf } from '../../names.ts'
import { done } from './answer-json.ts'
import type { Desk } from './hawkbit-desk.ts'

/** Quotas of hawkBit: messages of one feedback; what is longer than a line of a log is cut. */
const messageLimit = 50
const messageLengthLimit = 1024

/** Bytes of a feedback: SWUpdate sends up to 48 lines of its log, and each may repeat a part of what it sent before. */
const feedbackLimitBytes = 128 * 1024

/** What SWUpdate says when every image is written and it waits for its restart: nothing else tells this from a download. */
const allInstalled = 'All Chunks Installed.'

const executions = ['closed', 'proceeding', 'canceled', 'scheduled', 'rejected', 'resumed', 'download', 'downloaded'] as const
export interface Feedback {
  readonly execution: (typeof executions)[number]
  readonly finished: 'success' | 'failure' | 'none'
  readonly code: string | undefined
  readonly messages: readonly string[]
}

/**
 * `POST .../deploymentBase/{action}/feedback` -> exactly 200, however often the same is said, and of an action that has ended too.
 *
 * | status.execution | status.result.finished | what is reported |
 * |---|---|---|
 * | closed | failure | failed |
 * | closed | success, none | confirmed |
 * | canceled | | canceled |
 * | downloaded | | downloaded |
 * | proceeding, with "All Chunks Installed." among its details | | installed |
 * | other | | downloading: it is at work |
 *
 * `status.details` is a list of texts or one text; `status.code` a number. `id` (a number, a text, or absent) is not looked at: the path has it.
 */
export async function deploymentFeedback(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const action = sequenceOf(params[1])
  const said = reportOf(await feedbackIn(desk, request))
  await desk.context.gateway.report(who, action, said, { signal: request.signal })
  if (said.state === 'confirmed') {
    const visitor = desk.visitor(who.deviceId)
    if (visitor.offer?.seq === action) visitor.installed = visitor.offer
    // What it says of itself may have changed with its image.
    visitor.told = false
  }
  return done
}

/** The feedback that a request brings. @throws `UNSUPPORTED_CONTENT`, `BODY_TOO_LARGE`, `INVALID_BODY`, `REQUEST_CUT` */
export async function feedbackIn({ context }: Desk, request: HttpRequest): Promise<Feedback> {
  return readFeedback(await jsonBody(request, Math.max(context.limits.reportBytes, feedbackLimitBytes)))
}

/** @throws `INVALID_BODY` */
export function readFeedback(body: JsonObject): Feedback {
  const status = objectMember(body, 'status')
  if (status === undefined) throw invalid('status', 'an object', 'nothing')
  const { execution, code, details } = status
  const { finished = 'none' } = objectMember(status, 'result') ?? {}
  const known = executions.find((each) => each === execution)
  if (known === undefined) throw invalid('status.execution', `one of ${executions.join(', ')}`, described(execution))
  if (finished !== 'success' && finished !== 'failure' && finished !== 'none') {
    throw invalid('status.result.finished', 'success, failure or none', described(finished))
  }
  return {
    execution: known,
    finished,
    code: typeof code === 'number' && Number.isSafeInteger(code) ? String(code) : undefined,
    messages: readDetails(details),
  }
}

// A message of a device is never a reason to refuse what it has to say.
function readDetails(details: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(details) ? details : [details]
  return list
    .filter((message) => typeof message === 'string' && message.trim() !== '')
    .slice(-messageLimit)
    .map((message) => (message as string).trim().slice(0, messageLengthLimit))
}

export function reportOf(feedback: Feedback): Report {
  const { code, messages } = feedback
  return {
    state: stateOf(feedback),
    ...(code === undefined ? {} : { code }),
    ...(messages.length === 0 ? {} : { messages }),
  }
}

function stateOf({ execution, finished, messages }: Feedback): Report['state'] {
  if (execution === 'closed') return finished === 'failure' ? 'failed' : 'confirmed'
  if (execution === 'canceled' || execution === 'downloaded') return execution
  return execution === 'proceeding' && messages.includes(allInstalled) ? 'installed' : 'downloading'
}
