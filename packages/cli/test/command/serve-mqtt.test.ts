import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate } from '../../../registry-oci/test/certificates.ts'
import { startMosquitto, subscriberPath } from '../../../transport-mqtt/test/support/mosquitto.ts'
import { describeMosquitto } from '../../../transport-mqtt/test/support/only-mosquitto.ts'
import { type Ran, runReflash, type Started, sayReflash, startReflash, temporaryFolder } from '../testing/run-reflash.ts'
import { sampleImageFile } from '../testing/sample-image.ts'

// Releases and keys are made once, in this process; servers and devices are processes of their own.
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'reflash-serve-mqtt-'))
const at = (name: string) => join(folder, name)
const token = 'c0ffee-tee'
const password = 'the-password-of-the-server'

afterAll(() => rmSync(folder, { recursive: true, force: true }))

beforeAll(async () => {
  const env = { COSIGN_PASSWORD: 'pw' }
  const say = async (...args: string[]) => expect(await sayReflash(args, { env })).toMatchObject({ exitCode: 0 })
  await say('keygen', '--output-key-prefix', at('cosign'))
  await writeFile(at('tokens'), `d1 ${token}\nd2 token-of-another\n`, { mode: 0o600 })
  await writeFile(at('password-of-d2'), 'token-of-another\n', { mode: 0o600 })
  const image = await sampleImageFile(folder, 'lamp.bin', 'esp32s3', 1, 300_000)
  await say('push', `oci:${at('rel')}:1.0.0`, image, '--product', 'lamp')
  await say('sign', `oci:${at('rel')}:1.0.0`, '--key', at('cosign.key'))
})

interface Server extends Started {
  /** What it printed. */
  readonly document: {
    readonly listening: readonly string[]
    readonly mqtt?: Readonly<Record<string, string>>
    readonly opens: readonly string[]
  }
}

async function serve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const base = ['serve', '--repository', `oci:${at('rel')}`, '--key', at('cosign.pub'), '--product', 'lamp', '--tokens', at('tokens')]
  const started = startReflash([...base, '--state', join(await temporaryFolder(), 'server'), '--json', ...args], { env })
  const text = await started.seen(/^\{\n[\s\S]*^\}\n/m)
  return { ...started, document: JSON.parse(/^\{\n[\s\S]*^\}\n/m.exec(text)?.[0] ?? '') as Server['document'] }
}

async function device(server: string, state: string, ...more: string[]): Promise<Ran & { readonly document: Record<string, unknown> }> {
  const base = ['device', '--server', server, '--id', 'd1', '--chip', 'esp32s3', '--state', state, '--once', '--json']
  const ran = await runReflash([...base, ...(more.includes('--token') ? [] : ['--token', token]), ...more])
  expect(`${ran.stdout}${ran.stderr}`).not.toContain(token)
  return { ...ran, document: JSON.parse(ran.stdout) as Record<string, unknown> }
}

async function stop({ child, ended }: Started): Promise<Ran> {
  child.kill('SIGINT')
  const ran = await ended
  expect(ran.exitCode).toBe(0)
  expect(`${ran.stdout}${ran.stderr}`).not.toContain(token)
  expect(`${ran.stdout}${ran.stderr}`).not.toContain(password)
  expect(ran.stderr).toMatch(/"draining"[\s\S]*"stopped"/)
  return ran
}

const confirmed = { exitCode: 0, document: { outcome: 'confirmed', installed: { version: '1.0.0', state: 'confirmed' } } }
const upToDate = { exitCode: 0, document: { outcome: 'up-to-date', installed: { version: '1.0.0' } } }

describe('serve --mqtt', () => {
  it('brings a release to a device that has MQTT only, by the same gateway as over HTTP', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(['--mqtt-listen', '127.0.0.1:0', '--listen', '127.0.0.1:0'])
    const [http = '', mqtt = ''] = server.document.listening
    expect(mqtt).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+$/)
    expect(server.document.mqtt).toEqual({ broker: 'embedded', version: '3.1.1', prefix: 'reflash' })
    expect(server.document.opens).toContainEqual(expect.stringMatching(/^broker-devices: over MQTT a device is who its topic says/))
    expect(await device(mqtt, join(state, 'd1'))).toMatchObject(confirmed)
    expect(await device(http, join(state, 'd1'))).toMatchObject(upToDate)
    expect(await device(mqtt, join(state, 'd1'))).toMatchObject(upToDate)
    const { stderr } = await stop(server)
    expect(stderr.match(/device confirm passed/g)).toHaveLength(1)
  })

  it('keeps strangers out, and a device out of the topics of another', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(['--mqtt-listen', '127.0.0.1:0', '--no-http', '--log-level', 'debug'])
    const [mqtt = '', ...others] = server.document.listening
    expect(others).toEqual([])
    const refused = { exitCode: 3, stderr: expect.stringContaining('BROKER_REFUSED') }
    expect(await device(mqtt, join(state, 'x'), '--token', 'guessed')).toMatchObject(refused)
    expect(await device(mqtt, join(state, 'x'), '--token', 'token-of-another')).toMatchObject(refused)
    const asAnother = ['--mqtt-username', 'd2', '--mqtt-password-file', at('password-of-d2')]
    expect(await device(mqtt, join(state, 'x'), ...asAnother)).toMatchObject(refused)
    expect(await device(mqtt, join(state, 'd1'))).toMatchObject(confirmed)
    const { stderr } = await stop(server)
    expect(stderr).not.toContain('guessed')
  })

  it('goes on where the server was restarted in the middle', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const port = await freePort()
    const args = ['--mqtt-listen', `127.0.0.1:${port}`, '--no-http', '--state', join(state, 'server')]
    const first = await serve(args)
    const began = startReflash(
      ['device', '--server', `mqtt://127.0.0.1:${port}`, '--id', 'd1', '--chip', 'esp32s3', '--state', join(state, 'd1')].concat(
        ...['--token', token, '--once', '--json'],
      ),
    )
    await began.seen(/"state":"downloading"/)
    first.child.kill('SIGKILL')
    await first.ended
    const second = await serve(args)
    const { exitCode, stdout } = await began.ended
    expect({ exitCode, document: JSON.parse(stdout) as unknown }).toMatchObject(confirmed)
    await stop(second)
  })

  it('speaks TLS with a certificate, which a device checks', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const { certificate, key } = makeCertificate(state, 'broker')
    const server = await serve(['--mqtt-listen', '127.0.0.1:0', '--no-http', '--mqtt-cert', certificate, '--mqtt-key', key])
    const [mqtt = ''] = server.document.listening
    expect(mqtt).toMatch(/^mqtts:/)
    expect(await device(mqtt, join(state, 'd1'), '--mqtt-ca', certificate)).toMatchObject(confirmed)
    await stop(server)
  })

  it('is what a configuration can say too', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const path = join(state, 'reflash.config.mjs')
    await writeFile(path, "export default { http: false, mqtt: { listen: '127.0.0.1:0', prefix: 'plant-1/ota' } }\n")
    const server = await serve(['--config', path])
    expect(server.document).toMatchObject({
      mqtt: { broker: 'embedded', prefix: 'plant-1/ota' },
      listening: [expect.stringMatching(/^mqtt:/)],
    })
    expect(await device(server.document.listening[0] ?? '', join(state, 'd1'), '--mqtt-prefix', 'plant-1/ota')).toMatchObject(confirmed)
    await stop(server)
  })

  it('gives a port that is taken exit code 4, and leaves nothing running', { timeout: 60_000 }, async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const open = ['--repository', 'oci:rel', '--allow-unsigned', '--allow-anonymous', '--state', join(await temporaryFolder(), 's')]
    const ran = await runReflash(['serve', ...open, '--listen', '127.0.0.1:0', '--mqtt-listen', `127.0.0.1:${port}`])
    expect(ran).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining('BROKER_LISTEN_FAILED') })
    taken.close()
  })

  it('gives a broker that is away exit code 4', { timeout: 60_000 }, async () => {
    const state = await temporaryFolder()
    const path = join(state, 'reflash.config.mjs')
    await writeFile(path, 'export default { mqtt: { limits: { connectMs: 200 } } }\n')
    const open = ['--repository', 'oci:rel', '--allow-unsigned', '--allow-anonymous', '--state', join(state, 's'), '--config', path]
    const ran = await runReflash(['serve', ...open, '--mqtt-broker', 'mqtt://127.0.0.1:1'])
    expect(ran).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining('BROKER_UNREACHABLE: mqtt://127.0.0.1:1') })
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** What a subscriber who comes later finds retained. */
async function retained(url: string, topic: string, ...login: string[]): Promise<string> {
  const { hostname, port } = new URL(url)
  const { stdout } = await run(subscriberPath ?? '', [
    ...['-h', hostname, '-p', port, '-t', topic, '-q', '1', '-C', '1', '-W', '10', '-F', '%t %q %r %p'],
    ...login,
  ])
  return stdout.trim()
}

const size = async () => (await sayReflash(['inspect', at('lamp.bin'), '--json'])).stdout.match(/"sizeBytes": (\d+)/)?.[1]

describeMosquitto('serve --mqtt-broker', () => {
  const acl = ['user server', 'topic readwrite reflash/#', 'topic write fw/#']
  const lists = [...acl, 'user watcher', 'topic read fw/#', 'pattern write reflash/v1/up/%u/#', 'pattern read reflash/v1/down/%u/#']
  const users = { server: password, d1: token, d2: 'token-of-another', watcher: 'w' }

  it.each(['5', '3.1.1'])(
    'serves over MQTT %s behind Mosquitto, whose access list says who a device is',
    { timeout: 120_000 },
    async (version) => {
      await using broker = await startMosquitto({ acl: lists, users })
      const state = await temporaryFolder()
      const server = await serve(
        [
          ...['--mqtt-broker', broker.url, '--mqtt-version', version, '--mqtt-username', 'server', '--mqtt-trust-topics'],
          ...['--no-http', '--otaflux-topic', 'fw', '--mqtt-share', 'replicas'],
        ],
        { REFLASH_MQTT_PASSWORD: password },
      )
      expect(server.document.listening).toEqual([])
      expect(server.document.mqtt).toEqual({ broker: broker.url, version, prefix: 'reflash', share: 'replicas', otafluxTopic: 'fw' })
      expect(server.document.opens).toContainEqual(expect.stringMatching(/^broker-devices: /))
      expect(await device(broker.url, join(state, 'd1'), '--mqtt-version', version)).toMatchObject(confirmed)
      const told = `fw/d1 1 1 {"version":"1.0.0","size":${await size()}}`
      expect(await retained(broker.url, 'fw/#', '-u', 'watcher', '-P', 'w')).toBe(told)
      await stop(server)
    },
  )

  it('asks for the token in each message where the broker lets everybody in, and tells who subscribes to OtaFlux', {
    timeout: 120_000,
  }, async () => {
    await using broker = await startMosquitto()
    const state = await temporaryFolder()
    await writeFile(join(state, 'password'), `${password}\n`, { mode: 0o600 })
    const login = ['--mqtt-username', 'server', '--mqtt-password-file', join(state, 'password')]
    const server = await serve(['--mqtt-broker', broker.url, ...login, '--listen', '127.0.0.1:0', '--otaflux-topic', 'fw'])
    expect(server.document.opens.filter((text) => text.startsWith('broker-devices'))).toEqual([])
    const refused = { exitCode: 3, stderr: expect.stringContaining('MQTT_SERVER_REFUSED') }
    expect(await device(broker.url, join(state, 'x'), '--token', 'guessed')).toMatchObject(refused)
    // Over HTTP: who subscribes hears of it all the same.
    expect(await device(server.document.listening[0] ?? '', join(state, 'd1'))).toMatchObject(confirmed)
    expect(await retained(broker.url, 'fw/#')).toBe(`fw/d1 1 1 {"version":"1.0.0","size":${await size()}}`)
    expect(await device(broker.url, join(state, 'd1'))).toMatchObject(upToDate)
    await stop(server)
  })

  it("tells a device of the embedded broker OtaFlux's notification of itself, and of nobody else", { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(['--mqtt-listen', '127.0.0.1:0', '--no-http', '--otaflux-topic', 'fw'])
    const [mqtt = ''] = server.document.listening
    expect(await device(mqtt, join(state, 'd1'))).toMatchObject(confirmed)
    expect(await retained(mqtt, 'fw/d1', '-u', 'd1', '-P', token)).toBe(`fw/d1 1 1 {"version":"1.0.0","size":${await size()}}`)
    expect(await retained(mqtt, 'fw/d1', '-u', 'd2', '-P', 'token-of-another')).toBe('')
    await stop(server)
  })
})
