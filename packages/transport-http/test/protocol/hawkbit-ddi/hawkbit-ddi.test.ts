import { createHash } from 'node:crypto'
import { type CheckInAnswer, OtaError, type Report, tokenDevices } from '@reflash/core'
import { gatewayToken, hawkbitDialect } from '@reflash/transport-http'
import { describe, expect, test } from 'vitest'
import { type FakeGateway, fakeGateway, idle, offerOf } from '../../fake-gateway.ts'
import { fileOf, patterned, started } from '../../started.ts'
import { wire } from '../../wire.ts'

interface Link {
  readonly href: string
}
interface Poll {
  readonly config: { readonly polling: { readonly sleep: string } }
  readonly _links: Readonly<Partial<Record<'deploymentBase' | 'cancelAction' | 'configData' | 'installedBase', Link>>>
}
interface Deployment {
  readonly id: string
  readonly deployment: {
    readonly download: string
    readonly update: string
    readonly chunks: readonly {
      readonly part: string
      readonly version: string
      readonly artifacts: readonly {
        readonly filename: string
        readonly size: number
        readonly hashes: Readonly<Record<string, string>>
        readonly _links: Readonly<Record<string, Link>>
      }[]
    }[]
  }
}

const base = '/DEFAULT/controller/v1/d1'
const bytes = patterned(5000)

async function served(gateway: FakeGateway = fakeGateway({ bytes })) {
  const { url, records } = await started({ dialects: ['hawkbit'] }, gateway)
  const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(path.startsWith('http') ? path : `${url}${base}${path}`, { headers })
  const send = (method: string, path: string, body: unknown): Promise<Response> =>
    fetch(`${url}${base}${path}`, { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })
  return {
    url,
    gateway,
    records,
    get,
    send,
    poll: async () => (await (await get('')).json()) as Poll,
    deployment: async () => (await (await get('/deploymentBase/7')).json()) as Deployment,
    reports: () => gateway.calls.filter(({ name }) => name === 'report').map(({ args }) => args),
  }
}

const status = (execution: string, finished: string, details?: unknown) => ({ status: { execution, result: { finished }, details } })

describe('what breaks installs where it is otherwise', () => {
  test('every PUT and POST is answered by exactly 200, with an empty body and its length', async () => {
    const { send } = await served()
    for (const [method, path, body] of [
      ['PUT', '/configData', { data: { a: 'b' } }],
      ['POST', '/deploymentBase/7/feedback', status('proceeding', 'none')],
      ['POST', '/cancelAction/7/feedback', status('closed', 'success')],
    ] as const) {
      const answer = await send(method, path, body)
      expect([path, answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([path, 200, '0', ''])
    }
  })

  test.each([
    [300_000, '00:05:00'],
    [1, '00:00:01'],
    [61_500, '00:01:02'],
    [999_999_999, '23:59:59'],
  ])('a poll tells when to come again as HH:mm:ss, whatever else it tells: %i ms', async (pollAfterMs, sleep) => {
    const gateway = fakeGateway()
    gateway.answer = { pollAfterMs, because: [] }
    expect((await (await served(gateway)).poll()).config.polling.sleep).toBe(sleep)
  })

  test('the id of an action is the number of the offer, a positive int32, in the link and as text in the body', async () => {
    const { poll, deployment, get } = await served()
    expect((await poll())._links.deploymentBase?.href).toMatch(/\/deploymentBase\/7\?c=[0-9]+$/)
    expect((await deployment()).id).toBe('7')
    for (const id of ['0', '-1', '2147483648', '07', 'a1b2', '7.0']) expect((await get(`/deploymentBase/${id}`)).status, id).toBe(400)
    expect((await get('/deploymentBase/8')).status).toBe(404)
  })

  test('a deployment has one chunk, of part bApp, with one artifact', async () => {
    const { chunks } = (await (await served()).deployment()).deployment
    expect(chunks.map(({ part, version, artifacts }) => [part, version, artifacts.length])).toEqual([['bApp', '1.1.0', 1]])
  })

  test.each(['memory', 'file', 'stream'] as const)(
    'an artifact has all three hashes, of an image that comes as %s and is read for them once',
    async (form) => {
      const gateway = fakeGateway({ bytes, form, path: fileOf(bytes) })
      const { deployment, get } = await served(gateway)
      const all = await Promise.all([deployment(), deployment(), deployment()])
      const artifact = all[0]?.deployment.chunks[0]?.artifacts[0]
      const hash = (name: string): string => createHash(name).update(bytes).digest('hex')
      expect(artifact?.hashes).toEqual({ sha1: hash('sha1'), md5: hash('md5'), sha256: hash('sha256') })
      expect(artifact?.size).toBe(bytes.length)
      expect(gateway.calls.filter(({ name }) => name === 'read').length).toBe(1)
      expect(await (await get(artifact?._links.md5sum?.href ?? '')).text()).toBe(`${hash('md5')}  ${artifact?.filename}`)
    },
  )

  test('a failed read is not remembered as a hash', async () => {
    const gateway = fakeGateway({ bytes, form: 'file', path: '/nowhere' })
    const { get } = await served(gateway)
    expect((await get('/deploymentBase/7')).status).toBe(503)
    gateway.image = { bytes }
    expect((await get('/deploymentBase/7')).status).toBe(200)
  })

  test('over plain HTTP the links for HTTP stand beside the others, behind TLS they do not', async () => {
    const { deployment, get } = await served()
    const links = (found: Deployment) => found.deployment.chunks[0]?.artifacts[0]?._links ?? {}
    expect(Object.keys(links(await deployment()))).toEqual(['download', 'md5sum', 'download-http', 'md5sum-http'])
    const forwarded = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'ota.example', 'X-Forwarded-Port': '8443' }
    const behind = links((await (await get('/deploymentBase/7', forwarded)).json()) as Deployment)
    expect(Object.keys(behind)).toEqual(['download', 'md5sum'])
    expect(behind.download?.href).toBe(`https://ota.example:8443${base}/softwaremodules/7/artifacts/firmware.bin`)
    const hostile = { 'X-Forwarded-Host': 'a.example/b?', 'X-Forwarded-Proto': 'javascript', 'X-Forwarded-Port': '1/x' }
    expect(links((await (await get('/deploymentBase/7', hostile)).json()) as Deployment).download?.href).toMatch(/^http:\/\/127\.0\.0\.1:/)
  })

  test('an image is asked for by HEAD, and goes on by Range where it was cut', async () => {
    const { get, url } = await served()
    const path = '/softwaremodules/7/artifacts/firmware.bin'
    const head = await fetch(`${url}${base}${path}`, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual([200, '5000', 'bytes'])
    const etag = head.headers.get('etag') ?? ''
    const rest = await get(path, { Range: 'bytes=1000-', 'If-Range': etag })
    expect([rest.status, Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(1000))]).toEqual([206, true])
    expect((await get(path, { Range: 'bytes=1000-', 'If-Range': '"other"' })).status).toBe(200)
    expect((await get(path, { Range: 'bytes=5000-' })).status).toBe(416)
    expect((await get('/softwaremodules/7/artifacts/other.bin')).status).toBe(404)
  })

  test('the link for attributes goes once they were put, and comes back after an update', async () => {
    const { poll, send, gateway } = await served()
    expect((await poll())._links.configData?.href).toMatch(/\/configData$/)
    await send('PUT', '/configData', { id: '', time: '', status: {}, data: { board: 'gate' } })
    expect(gateway.calls.at(-1)).toMatchObject({ name: 'attributes', deviceId: 'd1', args: [{ board: 'gate' }, 'merge', {}] })
    expect(Object.keys((await poll())._links)).toEqual(['deploymentBase'])
    await send('POST', '/deploymentBase/7/feedback', status('closed', 'success'))
    gateway.answer = idle
    const { _links: links } = await poll()
    expect(Object.keys(links)).toEqual(['installedBase', 'configData'])
  })

  test('what the gateway wants is asked for, told or not', async () => {
    const { poll, send, gateway } = await served()
    await send('PUT', '/configData', { mode: 'replace', data: {} })
    gateway.answer = { ...idle, wants: ['attributes'] }
    expect((await poll())._links.configData).toBeDefined()
  })

  test('a poll is 304 for whoever has the same answer, and never for whoever did not ask', async () => {
    const { get } = await served()
    const first = await get('')
    expect(first.status).toBe(200)
    expect((await get('')).status).toBe(200)
    expect((await get('', { 'If-None-Match': first.headers.get('etag') ?? '' })).status).toBe(304)
  })

  test('a body that waits for 100-continue is asked for', async () => {
    const { url } = await served()
    const client = await wire(url)
    const body = JSON.stringify({ data: { a: 'b' } })
    client.send(
      `PUT ${base}/configData HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
    )
    expect((await client.answer()).status).toBe(100)
    client.send(body)
    expect((await client.answer()).status).toBe(200)
    client.close()
  })
})

describe('feedback', () => {
  test.each<readonly [string, string, unknown, Report]>([
    ['closed', 'success', ['Update Installed.'], { state: 'confirmed', messages: ['Update Installed.'] }],
    ['closed', 'none', undefined, { state: 'confirmed' }],
    ['closed', 'failure', 'one text', { state: 'failed', messages: ['one text'] }],
    ['canceled', 'none', [], { state: 'canceled' }],
    ['downloaded', 'success', ['File checksum OK.'], { state: 'downloaded', messages: ['File checksum OK.'] }],
    ['download', 'none', [], { state: 'downloading' }],
    [
      'proceeding',
      'none',
      ['Installing Update Chunk Artifacts.'],
      { state: 'downloading', messages: ['Installing Update Chunk Artifacts.'] },
    ],
    ['proceeding', 'none', ['All Chunks Installed.'], { state: 'installed', messages: ['All Chunks Installed.'] }],
    ['rejected', 'none', [' 20% Checking bundle done.'], { state: 'downloading', messages: ['20% Checking bundle done.'] }],
    ['scheduled', 'none', [1, null, 'x'.repeat(3000)], { state: 'downloading', messages: ['x'.repeat(1024)] }],
  ])('%s, %s is reported as what it means', async (execution, finished, details, report) => {
    const { send, reports } = await served()
    expect((await send('POST', '/deploymentBase/7/feedback', status(execution, finished, details))).status).toBe(200)
    expect(reports()).toEqual([[7, report]])
  })

  test('is believed by its path: its id is a number, a text, another or none', async () => {
    const { send, reports } = await served()
    for (const id of [7, '7', '9', undefined]) {
      await send('POST', '/deploymentBase/7/feedback', { id, time: 'any', timestamp: 1, ...status('proceeding', 'none') })
    }
    expect(reports().map(([offer]) => offer)).toEqual([7, 7, 7, 7])
  })

  test('may bring a long log', async () => {
    const { send, reports } = await served()
    const details = Array.from({ length: 60 }, (_, line) => `line ${line} ${'x'.repeat(1500)}`)
    expect((await send('POST', '/deploymentBase/7/feedback', status('closed', 'failure', details))).status).toBe(200)
    // The last lines say why.
    const [said] = reports().map(([, report]) => report as Report)
    expect(said?.messages?.at(-1)).toMatch(/^line 59 x+$/)
    expect((await send('POST', '/deploymentBase/7/feedback', status('closed', 'failure', ['x'.repeat(200_000)]))).status).toBe(413)
  })

  test.each([
    ['no status', {}],
    ['another execution', status('done', 'none')],
    ['another result', status('closed', 'maybe')],
    ['a list for a status', { status: [] }],
  ])('is refused with %s', async (_, body) => {
    const { send, reports } = await served()
    const answer = await send('POST', '/deploymentBase/7/feedback', body)
    expect([answer.status, ((await answer.json()) as { errorCode: string }).errorCode]).toEqual([400, 'reflash.INVALID_BODY'])
    expect(reports()).toEqual([])
  })
})

describe('an offer that is taken back', () => {
  const cancel: CheckInAnswer = { cancel: 7, offer: offerOf(bytes), pollAfterMs: 60_000, because: [] }

  test('is the one link, and no deployment any more', async () => {
    const gateway = fakeGateway({ bytes })
    gateway.answer = cancel
    const { poll, get } = await served(gateway)
    const { _links: links } = await poll()
    expect(Object.keys(links)).toEqual(['cancelAction', 'configData'])
    expect(await (await get(links.cancelAction?.href ?? '')).json()).toEqual({ id: '7', cancelAction: { stopId: '7' } })
    expect((await get('/cancelAction/8')).status).toBe(404)
    expect((await get('/deploymentBase/7')).status).toBe(404)
  })

  test.each([
    ['closed', 'success', 'canceled'],
    ['closed', 'none', 'canceled'],
    ['closed', 'failure', 'cancel-refused'],
    ['canceled', 'none', 'canceled'],
    ['rejected', 'success', 'cancel-refused'],
    ['proceeding', 'none', undefined],
    ['scheduled', 'none', undefined],
  ])('%s, %s: %s', async (execution, finished, state) => {
    const { send, reports } = await served()
    await send('POST', '/cancelAction/7/feedback', status(execution, finished, ['Action canceled.']))
    expect(reports()).toEqual(state === undefined ? [] : [[7, { state, messages: ['Action canceled.'] }]])
  })
})

describe('what was installed', () => {
  test('is shown as the deployment was, and nothing else is', async () => {
    const { deployment, get, send } = await served()
    const before = await deployment()
    expect((await get('/installedBase/7')).status).toBe(404)
    await send('POST', '/deploymentBase/7/feedback', status('closed', 'success'))
    expect(await (await get('/installedBase/7')).json()).toEqual(before)
    expect((await get('/installedBase/6')).status).toBe(404)
  })
})

describe('who asks', () => {
  const token = 'f'.repeat(32)
  const ask = (url: string, authorization: string, id = 'd1') =>
    fetch(`${url}/DEFAULT/controller/v1/${id}`, { headers: authorization === '' ? {} : { Authorization: authorization } })

  test('a device has its token, a gateway has one for every device, and no other gets more than 401 without a body', async () => {
    const authenticators = [tokenDevices({ d1: 'one', d2: 'two' }), gatewayToken(token)]
    const { url } = await started({ dialects: ['hawkbit'] }, fakeGateway(), authenticators)
    expect((await ask(url, 'TargetToken one')).status).toBe(200)
    expect((await ask(url, 'Bearer one')).status).toBe(200)
    expect((await ask(url, `GatewayToken ${token}`, 'any-device')).status).toBe(200)
    for (const wrong of ['TargetToken two', 'TargetToken', 'TargetToken ', 'TargetToken one two', 'GatewayToken one2', 'Basic one', '']) {
      const answer = await ask(url, wrong)
      expect([wrong, answer.status, await answer.text()]).toEqual([wrong, 401, ''])
    }
    expect((await ask(url, 'TargetToken one', 'd2')).status).toBe(401)
  })

  test('a token of a gateway that anybody could guess is refused, and not shown', () => {
    expect(() => gatewayToken('hunter2')).toThrow(/^token: expected 16 to 1024 characters/)
  })

  test('an id cannot climb out of its path', async () => {
    const { url } = await started({ dialects: ['hawkbit'] })
    for (const id of ['a%2fb', '..%2fx', 'a%00', 'x'.repeat(129)]) expect((await ask(url, '', id)).status, id).toBe(400)
  })
})

describe('the dialect', () => {
  test('is spoken only where it is asked for, beside the others', async () => {
    expect((await fetch(`${(await started()).url}${base}`)).status).toBe(404)
    const { url } = await started({ dialects: ['native', 'otaflux', hawkbitDialect({ tenant: 'lamps', model: 'lamp' })] })
    expect((await fetch(`${url}/lamps/controller/v1/d1`)).status).toBe(200)
    expect((await fetch(`${url}/version?device=d1`)).status).toBe(200)
  })

  test('tells the gateway the model of its devices, and that they do not say what they run', async () => {
    const gateway = fakeGateway()
    const { url } = await started({ dialects: [hawkbitDialect({ model: 'lamp' })] }, gateway)
    await fetch(`${url}${base}`)
    expect(gateway.calls[0]?.args).toMatchObject([{ model: 'lamp' }, undefined, { installed: 'remembered' }])
  })

  test.each([{ tenant: '' }, { tenant: 'a/b' }, { model: '' }])('refuses %o', (options) => {
    expect(() => hawkbitDialect(options)).toThrow(/^(tenant|model): expected/)
  })

  test('tells an action that has ended from one that never was, and a server that is down from both', async () => {
    const { get, gateway } = await served()
    const seen: number[] = []
    for (const [code, fault] of [
      ['OFFER_CLOSED', 'invalid'],
      ['NO_OFFER', 'invalid'],
      ['REGISTRY_UNREACHABLE', 'unavailable'],
      ['SIGNATURE_INVALID', 'rejected'],
    ] as const) {
      gateway.failure = new OtaError(code, fault, 'no')
      seen.push((await get('/softwaremodules/7/artifacts/firmware.bin')).status)
    }
    expect(seen).toEqual([410, 404, 503, 403])
  })

  test('refuses an offer of several images, which no client takes', async () => {
    const gateway = fakeGateway({ bytes })
    const offer = offerOf(bytes)
    gateway.answer = { offer: { ...offer, components: [...offer.components, ...offer.components] }, pollAfterMs: 1, because: [] }
    expect((await (await served(gateway)).get('')).status).toBe(501)
  })
})
