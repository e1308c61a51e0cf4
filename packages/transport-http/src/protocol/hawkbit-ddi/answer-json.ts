import { createHash } from 'node:crypto'
import { type HttpRequest, type HttpResponse, textResponse } from '../../http-message.ts'
import { matches } from '../../range.ts'

const halType = 'application/hal+json'

/** Success without a body: exactly 200, because 201 and 204 are failures to the clients, which then ask for ever. */
export const done: HttpResponse = Object.freeze({ status: 200, headers: Object.freeze(['Content-Length', '0']), length: 0 })

/** JSON with a tag: clients ask two times per poll while an action is open, and some know If-None-Match. */
export function answerJson(request: HttpRequest, document: object): HttpResponse {
  const text = JSON.stringify(document)
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
  const headers = ['ETag', etag, 'Cache-Control', 'private, no-cache']
  const known = request.header('if-none-match')
  if (known !== undefined && matches(known, etag, true)) return { status: 304, headers, length: 0 }
  return textResponse(200, halType, text, headers)
}
