import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { sequenceOf } from '../../names.ts'
import { answerJson, done } from './answer-json.ts'
import { feedbackIn } from './feedback.ts'
import { type Desk, noSuchAction } from './hawkbit-desk.ts'

/** `GET .../cancelAction/{action}`: `{"id", "cancelAction": {"stopId"}}`, both the number of the offer that is taken back, as text. */
export async function cancelAction(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const action = sequenceOf(params[1])
  const { cancel } = await desk.ask(request, who)
  if (cancel !== action) throw noSuchAction()
  return answerJson(request, { id: String(action), cancelAction: { stopId: String(action) } })
}

/**
 * `POST .../cancelAction/{action}/feedback` -> exactly 200.
 *
 * | status.execution | status.result.finished | effect |
 * |---|---|---|
 * | closed | success, none | the offer ends as canceled |
 * | canceled | | the same: some clients say it so, though hawkBit takes it for a warning |
 * | closed | failure | the update goes on, and is not asked to stop again |
 * | rejected | | the same |
 * | other | | it is at it: the next poll asks again |
 */
export async function cancelFeedback(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const action = sequenceOf(params[1])
  const { execution, finished, messages } = await feedbackIn(desk, request)
  const isRefused = execution === 'rejected' || (execution === 'closed' && finished === 'failure')
  const state = isRefused ? 'cancel-refused' : execution === 'canceled' || execution === 'closed' ? 'canceled' : undefined
  const { gateway } = desk.context
  if (state !== undefined) await gateway.report(who, action, { state, messages }, { signal: request.signal })
  return done
}
