import type { ByteStream } from '@reflash/core'
import type { HttpCaller } from './http-caller.ts'

/** Calls through a web-standard fetch: other runtimes, or a handler's own `fetch` without any socket. Redirects are answers like others. */
export function fetchCaller(fetch: (request: Request) => Promise<Response>): HttpCaller {
  const send: HttpCaller['send'] = async ({ method, url, headers, body, signal }) => {
    const response = await fetch(
      new Request(url, {
        method,
        headers: { ...headers },
        redirect: 'manual',
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        ...(signal ? { signal } : {}),
      }),
    )
    return {
      status: response.status,
      header: (name) => response.headers.get(name) ?? undefined,
      body: response.body === null ? nothing() : (response.body as unknown as ByteStream),
    }
  }
  return { send, close() {} }
}

async function* nothing(): ByteStream {}
