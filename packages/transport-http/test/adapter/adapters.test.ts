import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { anonymousDevices } from '@reflash/core'
import { httpHandler } from '@reflash/transport-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FakeGateway } from '../fake-gateway.ts'
import { fakeGateway } from '../fake-gateway.ts'
import { fileOf, started } from '../started.ts'
import { get, wire } from '../wire.ts'
import { bytes, type Case, cases } from './cases.ts'

interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Sends one case, and says what came back. */
type Adapter = (one: Case, gateway: FakeGateway) => Promise<Answered>

const viaTransport: Adapter = async (one, gateway) => {
  const { url } = await started({}, gateway)
  const { method = 'GET', path, headers = {}, body } = one
  const client = await wire(url)
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  client.send(Buffer.concat([Buffer.from(get(path, { ...headers, ...length }, method)), Buffer.from(body ?? '')]))
  const answer = await client.answer(method === 'HEAD')
  client.close()
  return answer
}

const viaFetch: Adapter = async (one, gateway) => {
  const { fetch } = httpHandler({ gateway, authenticators: [anonymousDevices()] })
  const { method = 'GET', path, headers = {}, body } = one
  const request = new Request(`http://test${path}`, { method, headers, ...(body === undefined ? {} : { body: body as string }) })
  const response = await fetch(request)
  return { status: response.status, headers: Object.fromEntries(response.headers), body: Buffer.from(await response.arrayBuffer()) }
}

let server: Server
let mounted: FakeGateway = fakeGateway()
beforeAll(async () => {
  server = createServer((incoming, outgoing) =>
    httpHandler({ gateway: mounted, authenticators: [anonymousDevices()] }).node(incoming, outgoing),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => server.close())

const viaMounted: Adapter = async (one, gateway) => {
  mounted = gateway
  const { method = 'GET', path, headers = {}, body } = one
  const client = await wire(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  client.send(Buffer.concat([Buffer.from(get(path, { ...headers, ...length }, method)), Buffer.from(body ?? '')]))
  const answer = await client.answer(method === 'HEAD')
  client.close()
  return answer
}

describe.each([
  ['the transport', viaTransport],
  ['the handler in a Node server', viaMounted],
  ['the handler in a web-standard server', viaFetch],
] as const)('%s', (_name, adapter) => {
  test.each(cases('').map((each, index) => [each.name, index] as const))('%s', async (_title, index) => {
    const one = cases(fileOf(bytes))[index] as Case
    const gateway = one.gateway?.() ?? fakeGateway()
    const answer = await adapter(one, gateway)
    expect(answer.status).toBe(one.status)
    for (const [name, value] of Object.entries(one.with ?? {})) expect(answer.headers[name], name).toBe(value)
    if (one.answers instanceof RegExp) expect(answer.body.toString('latin1')).toMatch(one.answers)
    else if (one.answers !== undefined) expect(answer.body.equals(Buffer.from(one.answers))).toBe(true)
    if (one.calls !== undefined) expect(gateway.calls.map(({ name }) => name)).toEqual(one.calls)
  })
})

test('every case is answered with the same status, headers and bytes by all of them', async () => {
  const path = fileOf(bytes)
  for (const [index, one] of cases(path).entries()) {
    const [first, ...others] = await Promise.all(
      [viaTransport, viaFetch].map(async (adapter) => essence(await adapter(one, cases(path)[index]?.gateway?.() ?? fakeGateway()))),
    )
    for (const other of others) expect(other, one.name).toEqual(first)
  }
})

/** Everything but what belongs to the connection, and the boundary, which is random. */
function essence({ status, headers, body }: Answered): object {
  const { date, connection, 'keep-alive': keepAlive, ...rest } = headers
  const boundary = /boundary=(.*)$/.exec(rest['content-type'] ?? '')?.[1] ?? 'no boundary'
  return {
    status,
    headers: JSON.parse(JSON.stringify(rest).replaceAll(boundary, 'B')),
    body: body.toString('latin1').replaceAll(boundary, 'B'),
  }
}

test('HEAD has exactly the headers of GET', async () => {
  const { url } = await started({}, fakeGateway({ bytes }))
  for (const path of ['/version?device=d1', '/firmware?device=d1', '/v1/devices/d1/offers/7/images/app', '/health']) {
    const client = await wire(url)
    client.send(get(path))
    const { date: _got, ...headers } = (await client.answer()).headers
    client.send(get(path, {}, 'HEAD'))
    const { date: _headed, ...headHeaders } = (await client.answer(true)).headers
    expect(headHeaders, path).toEqual(headers)
    client.close()
  }
})
