import { anonymousDevices, createGateway, createRollout, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryFleet, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import { httpTransport, managementDialect } from '@reflash/transport-http'
import { managementClient } from '@reflash/transport-http/client'
import { describe, expect, it, onTestFinished } from 'vitest'

const token = 'correct-horse'
const repository = 'registry.test/lamp'

/** A fleet in memory whose management listens on a free port of the loopback. */
async function managed() {
  const registry = memoryRegistry()
  registry.addArtifact(repository, { content: new TextEncoder().encode('board board\n1'), tag: '1.1.0', version: '1.1.0' })
  const gateway = createGateway({
    repository,
    registry,
    verifiers: [unsignedArtifacts()],
    targets: [memoryTarget()],
    authenticators: [anonymousDevices()],
    attestation: [unattestedDevices()],
    journal: memoryJournal(),
    cache: memoryCache(),
    fleet: memoryFleet(),
  })
  const rollout = createRollout(gateway.composition)
  const dialect = managementDialect({ rollout, tokens: { ann: token, bob: `sha256:${'1'.repeat(64)}` } })
  const serving = await httpTransport({ listen: '127.0.0.1:0', dialects: [dialect], limits: { drainMs: 0 } }).serve({
    gateway,
    authenticators: [anonymousDevices()],
  })
  const server = serving.addresses[0] as string
  const client = managementClient({ server, token })
  onTestFinished(async () => {
    client.close()
    await serving[Symbol.asyncDispose]()
    await gateway.composition.close()
  })
  const ask = (path: string, init: RequestInit = {}) => fetch(`${server}${path}`, init)
  return { gateway, rollout, server, client, ask }
}

const paths = [
  ['GET', '/v1/deployments'],
  ['POST', '/v1/deployments'],
  ['GET', '/v1/deployments/roll'],
  ['POST', '/v1/deployments/roll/pause'],
  ['POST', '/v1/deployments/roll/resume'],
  ['POST', '/v1/deployments/roll/abort'],
  ['GET', '/v1/devices'],
  ['GET', '/v1/devices/d1'],
  ['PUT', '/v1/devices/d1/labels'],
] as const

describe('the management API', () => {
  it.each(paths)('lets nobody %s %s without the token of an operator', async (method, path) => {
    const { ask, rollout } = await managed()
    for (const authorization of [
      undefined,
      'Bearer wrong-horse',
      'Basic YTpi',
      `Bearer ${token} `.concat('x'),
      `Bearer ${'x'.repeat(3_000)}`,
    ]) {
      const response = await ask(path, { method, ...(authorization === undefined ? {} : { headers: { authorization } }) })
      expect(response.status).toBe(401)
      expect(await response.text()).not.toContain(token)
    }
    expect(await rollout.list()).toEqual([])
    expect(await rollout.audit({ limit: 10 })).toEqual([])
  })

  it('makes, shows, pauses, resumes and aborts a deployment, in the name of whose token it is', async () => {
    const { client, rollout } = await managed()
    await client.label('d1', { site: 'berlin' })
    const made = await client.create({
      id: 'roll',
      version: '1.1.0',
      selector: { site: ['berlin', 'paris'] },
      waves: [50, 100],
      proof: false,
    })
    expect(made).toMatchObject({
      id: 'roll',
      state: 'running',
      wave: 0,
      release: { version: '1.1.0', digest: expect.stringMatching(/^sha256:/) },
    })
    expect((await client.show('roll')).waits).toEqual([])
    await rollout.ticker({ holder: 'one' }).tick()
    expect((await client.show('roll')).waits.map(({ code }) => code)).toEqual(['WAVE_OPEN', 'NOT_COME'])
    expect(await client.pause('roll')).toMatchObject({ state: 'paused', wave: 1, size: 1 })
    expect(await client.resume('roll')).toMatchObject({ state: 'running' })
    expect(await client.abort('roll')).toMatchObject({ state: 'aborted' })
    const { deployment, audit } = await client.show('roll')
    expect(deployment.state).toBe('aborted')
    await client.create({ id: 'nobody', version: '1.1.0', selector: { site: ['rome'] } })
    expect((await client.show('nobody')).waits).toMatchObject([{ code: 'NOBODY_SELECTED' }])
    await client.abort('nobody')
    expect(audit.map(({ by, action }) => `${by} ${action}`)).toEqual(['ann abort', 'ann resume', 'ann pause', 'one start', 'ann create'])
    expect((await client.list()).map(({ id }) => id)).toEqual(['nobody', 'roll'])
  })

  it('lists devices by label and page, and says of one why it is offered nothing', async () => {
    const { client } = await managed()
    for (const id of ['d1', 'd2', 'd3']) await client.label(id, { site: id === 'd2' ? 'paris' : 'berlin' })
    expect((await client.devices({ limit: 2 })).map(({ id }) => id)).toEqual(['d1', 'd2'])
    expect((await client.devices({ after: 'd1', selector: { site: ['berlin'] } })).map(({ id }) => id)).toEqual(['d3'])
    expect(await client.explain('d1')).toMatchObject({ device: { id: 'd1' }, offered: false, because: [{ code: 'NO_DEPLOYMENT' }] })
    await expect(client.explain('nobody')).rejects.toMatchObject({
      code: 'REQUEST_REFUSED',
      details: { status: 404, remoteCode: 'UNKNOWN_DEVICE' },
    })
  })

  it.each([
    ['a deployment that is not there', 'POST', '/v1/deployments/none/pause', '{}', 404, 'UNKNOWN_DEPLOYMENT'],
    ['an id that is none', 'GET', '/v1/deployments/a%2Fb', undefined, 400, 'INVALID_PATH'],
    ['a body that is no JSON', 'POST', '/v1/deployments', '{', 400, 'INVALID_BODY'],
    ['no version', 'POST', '/v1/deployments', '{"id":"a"}', 400, 'INVALID_BODY'],
    ['a version that is none', 'POST', '/v1/deployments', '{"id":"a","version":"new"}', 400, 'INVALID_VERSION'],
    ['a version that was never pushed', 'POST', '/v1/deployments', '{"id":"a","version":"9.9.9"}', 404, 'NOT_FOUND'],
    ['waves that do not ascend', 'POST', '/v1/deployments', '{"id":"a","version":"1.1.0","waves":[50,50,100]}', 400, 'INVALID_DEPLOYMENT'],
    ['proof where nobody can prove', 'POST', '/v1/deployments', '{"id":"a","version":"1.1.0","proof":true}', 501, 'PROOF_UNSUPPORTED'],
    ['a body without end', 'POST', '/v1/deployments', `{"id":"${'x'.repeat(20_000)}"}`, 413, 'BODY_TOO_LARGE'],
    ['labels that are none', 'PUT', '/v1/devices/d1/labels', '{"labels":{"model":"x"}}', 400, 'INVALID_LABELS'],
    ['a device id that is none', 'PUT', '/v1/devices/a%2Fb/labels', '{"labels":{}}', 400, 'INVALID_DEVICE_ID'],
    ['a page that is too long', 'GET', '/v1/devices?limit=501', undefined, 400, 'INVALID_QUERY'],
    ['a selector that is none', 'GET', '/v1/devices?select=site', undefined, 400, 'INVALID_QUERY'],
  ] as const)('refuses %s', async (_what, method, path, body, status, code) => {
    const { ask, rollout } = await managed()
    const response = await ask(path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }),
    })
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code])
    expect(await rollout.list()).toEqual([])
  })

  it('refuses tokens that are none when it is made, without repeating them', async () => {
    const { rollout } = await managed()
    for (const tokens of [{}, { ann: 'short' }, { 'a b': token }, { ann: 'sha256:zz-secret' }]) {
      expect(() => managementDialect({ rollout, tokens })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.not.stringMatching(/zz-secret|short/) }),
      )
    }
  })
})
