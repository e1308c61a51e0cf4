import type { Health } from '@reflash/core'
import { expect, test } from 'vitest'
import { fakeGateway } from '../fake-gateway.ts'
import { started } from '../started.ts'

const parts = (registry: string, cache: string, journal: string): Health['parts'] =>
  ({
    registry: { status: registry, reason: 'registry.internal refused' },
    cache: { status: cache },
    journal: { status: journal },
  }) as Health['parts']

test.each<[string, Health['status'], Health['parts'], number]>([
  ['everything works', 'ok', parts('ok', 'ok', 'ok'), 200],
  ['the registry is down and the cache serves', 'degraded', parts('down', 'ok', 'ok'), 200],
  ['the registry is stale', 'degraded', parts('stale', 'ok', 'ok'), 200],
  ['the journal is down', 'degraded', parts('ok', 'ok', 'down'), 503],
  ['the cache is down', 'degraded', parts('ok', 'down', 'ok'), 503],
  ['nobody has looked yet', 'ok', parts('unknown', 'unknown', 'unknown'), 200],
])('where %s, health is %s', async (_name, status, now, expected) => {
  const gateway = fakeGateway()
  gateway.healthNow = { status, parts: now }
  const { url } = await started({}, gateway)
  const response = await fetch(`${url}/health`)
  expect(response.status).toBe(expected)
  const body = (await response.json()) as { status: string; parts: Record<string, { status: string }> }
  expect(body.status).toBe(status)
  expect(Object.entries(body.parts).map(([name, part]) => [name, part])).toEqual(
    Object.entries(now).map(([name, part]) => [name, { status: part.status }]),
  )
})

test('health needs no token, and says nothing that is worth one', async () => {
  const gateway = fakeGateway()
  gateway.healthNow = { status: 'degraded', parts: parts('down', 'ok', 'ok') }
  const { url } = await started({}, gateway, [])
  const response = await fetch(`${url}/health`)
  expect(response.status).toBe(200)
  expect(await response.text()).not.toContain('internal')
})

test('a gateway whose health cannot be asked is unavailable', async () => {
  const gateway = fakeGateway()
  gateway.health = () => Promise.reject(new Error('broken'))
  const { url } = await started({}, gateway)
  expect((await fetch(`${url}/health`)).status).toBe(500)
})
