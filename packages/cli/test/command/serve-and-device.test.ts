import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ran, runReflash, type Started, sayReflash, startReflash, temporaryFolder } from '../testing/run-reflash.ts'
import { sampleImageFile } from '../testing/sample-image.ts'

// Releases and keys are made once, in this process; servers and devices are processes of their own.
const folder = mkdtempSync(join(tmpdir(), 'reflash-serve-'))
const at = (name: string) => join(folder, name)
const env = { COSIGN_PASSWORD: 'pw' }
const token = 'c0ffee-tee'

afterAll(() => rmSync(folder, { recursive: true, force: true }))

beforeAll(async () => {
  const say = async (...args: string[]) => expect(await sayReflash(args, { env })).toMatchObject({ exitCode: 0 })
  await say('keygen', '--output-key-prefix', at('cosign'))
  await writeFile(at('short'), 'short\n', { mode: 0o600 })
  await writeFile(at('tokens'), `# devices\nd1 ${token}\n`, { mode: 0o600 })
  // A tag is looked up at every check-in: a test does not want to wait for one.
  await writeFile(at('reflash.config.mjs'), 'export default { times: { freshMs: 0, staleMs: 0 }, product: "lamp" }\n')
  await release('rel', '1.0.0', 1)
})

async function release(layout: string, version: string, fill: number): Promise<void> {
  const image = await sampleImageFile(folder, `${version}.bin`, 'esp32s3', fill, 300_000)
  const reference = `oci:${at(layout)}:${version}`
  expect(await sayReflash(['push', reference, image, '--product', 'lamp'])).toMatchObject({ exitCode: 0 })
  expect(await sayReflash(['sign', reference, '--key', at('cosign.key')], { env })).toMatchObject({ exitCode: 0 })
}

interface Server extends Started {
  readonly url: string
}

async function serve(state: string, layout = 'rel', ...more: string[]): Promise<Server> {
  const access = more.includes('--allow-anonymous') ? [] : ['--tokens', at('tokens')]
  const args = ['serve', '--repository', `oci:${at(layout)}`, '--key', at('cosign.pub'), ...access]
  const started = startReflash([...args, '--config', at('reflash.config.mjs'), '--listen', '127.0.0.1:0', '--state', state, ...more])
  const url = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(await started.seen(/listening on http\S+\n/))?.[1] as string
  return { ...started, url }
}

function deviceArgs(url: string, state: string, ...more: string[]): string[] {
  return ['device', '--server', url, '--id', 'd1', '--chip', 'esp32s3', '--state', state, '--token', token, '--json', ...more]
}

async function once(url: string, state: string, ...more: string[]): Promise<Ran & { readonly document: Record<string, unknown> }> {
  const ran = await runReflash(deviceArgs(url, state, '--once', ...more))
  expect(`${ran.stdout}${ran.stderr}`).not.toContain(token)
  return { ...ran, document: JSON.parse(ran.stdout) as Record<string, unknown> }
}

async function stop({ child, ended }: Started): Promise<Ran> {
  child.kill('SIGTERM')
  return ended
}

describe('serve and device', () => {
  it('bring a release to a device, are up to date then, and bring the next one', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    await release('growing', '1.0.0', 1)
    const server = await serve(join(state, 'server'), 'growing')
    const d1 = join(state, 'd1')
    expect(await once(server.url, d1)).toMatchObject({
      exitCode: 0,
      document: {
        deviceId: 'd1',
        chip: 'esp32s3',
        outcome: 'confirmed',
        installed: { version: '1.0.0', state: 'confirmed' },
        update: { seq: 1 },
      },
    })
    expect(await once(server.url, d1)).toMatchObject({ exitCode: 0, document: { outcome: 'up-to-date' } })
    await release('growing', 'v1.1.0', 2)
    const updated = await once(server.url, d1)
    expect(updated).toMatchObject({ exitCode: 0, document: { outcome: 'confirmed', installed: { version: '1.1.0' } } })
    const events = updated.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; state?: string })
    expect(events.map(({ event, state }) => state ?? event)).toEqual([
      'offered',
      'downloading',
      'downloaded',
      'installing',
      'installed',
      'confirmed',
    ])

    const flash = await stat(join(d1, 'flash.bin'))
    expect(flash.size).toBe(4 * 1024 * 1024)
    expect(flash.blocks * 512).toBeLessThan(2 * 1024 * 1024)

    const { exitCode, stdout, stderr } = await stop(server)
    expect(exitCode).toBe(0)
    expect(stdout).toContain('OPEN      unattested-devices')
    const log = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { message: string })
    expect(log.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['composed', 'release verify passed', 'device confirm passed', 'draining', 'stopped']),
    )
    expect(stderr).not.toContain(token)
  })

  it('go on where they stopped after the server was killed', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const first = await serve(join(state, 'server'))
    const device = startReflash(deviceArgs(first.url, join(state, 'd1'), '--once'))
    await device.seen(/"state":"downloading"/)
    first.child.kill('SIGKILL')
    await first.ended
    device.child.kill('SIGKILL')
    await device.ended
    const second = await serve(join(state, 'server'))
    expect(await once(second.url, join(state, 'd1'))).toMatchObject({ exitCode: 0, document: { installed: { version: '1.0.0' } } })
    await stop(second)
  })

  it('keep strangers out', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(join(state, 'server'))
    const stranger = (...more: string[]) =>
      runReflash(['device', '--server', server.url, '--id', 'd1', '--chip', 'esp32s3', '--state', join(state, 'x'), '--once', ...more])
    expect(await stranger()).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('SERVER_REFUSED') })
    const guessed = await stranger('--token', 'guessed-it')
    expect(guessed).toMatchObject({ exitCode: 3 })
    expect(guessed.stderr).not.toContain('guessed-it')
    const { stderr } = await stop(server)
    expect(stderr).not.toContain('guessed-it')
  })

  it('let a device roll back that fails its self-test', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    await release('two', '1.0.0', 1)
    const server = await serve(join(state, 'server'), 'two')
    await once(server.url, join(state, 'd1'))
    await release('two', '1.1.0', 2)
    const failed = await once(server.url, join(state, 'd1'), '--rollback-test', 'fail')
    expect(failed).toMatchObject({
      exitCode: 3,
      document: { outcome: 'rolled-back', installed: { version: '1.0.0' }, because: [{ code: 'SELF_TEST_FAILED' }] },
    })
    expect(await once(server.url, join(state, 'd1'))).toMatchObject({ exitCode: 0, document: { installed: { version: '1.1.0' } } })
    const { stderr } = await stop(server)
    expect(stderr).toContain('ROLLED_BACK')
  })
})

describe('a device', () => {
  it.each(['offered', 'downloading', 'downloaded', 'installing', 'installed'])(
    'that was killed when it had said "%s" is confirmed by its next run',
    { timeout: 120_000 },
    async (word) => {
      const state = await temporaryFolder()
      const server = await serve(join(state, 'server'))
      const device = startReflash(deviceArgs(server.url, join(state, 'd1'), '--once'))
      await device.seen(new RegExp(`"(?:event|state)":"${word}"`))
      device.child.kill('SIGKILL')
      await device.ended
      expect(await once(server.url, join(state, 'd1'))).toMatchObject({
        exitCode: 0,
        document: { installed: { version: '1.0.0', state: 'confirmed' } },
      })
      expect((await stop(server)).stderr).toContain('device confirm passed')
    },
  )

  it('runs until Ctrl-C, and no second process can be it', { timeout: 120_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(join(state, 'server'), 'rel', '--allow-anonymous')
    const device = startReflash(deviceArgs(server.url, join(state, 'd1'), '--poll-ms', '100'))
    await device.seen(/"is":"up-to-date"/)
    const second = await runReflash(deviceArgs(server.url, join(state, 'd1'), '--once'))
    expect(second).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('DEVICE_STATE_IN_USE') })
    await stop(server)
    await device.seen(/"event":"away"/)
    device.child.kill('SIGINT')
    const { exitCode, stdout } = await device.ended
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'up-to-date', installed: { version: '1.0.0' } })
  })

  it('says that the server is away with exit code 4, and what it runs', async () => {
    const state = await temporaryFolder()
    const ran = await runReflash(deviceArgs('http://127.0.0.1:1', join(state, 'd1'), '--once'))
    expect(ran.exitCode).toBe(4)
    expect(JSON.parse(ran.stdout)).toMatchObject({ outcome: 'error', installed: null, error: { fault: 'unavailable' } })
  })

  it.each([
    [['--chip', 'esp8266'], /Allowed choices are esp32, /],
    [['--rollback-test', 'pass'], /Allowed choices are fail/],
    [['--poll-ms', '0'], /expected a whole number above 0/],
    [['--poll-ms', '1e3'], /expected a whole number above 0/],
    [['--server', 'ftp://x'], /server: expected http\(s\)/],
    [['--id', 'a b'], /deviceId: expected/],
    [['--token', 'x y'], /token: expected visible ASCII/],
    [['--token', 'x', '--token-file', 'y'], /either --token or --token-file, found both/],
    [['--token-file', 'nowhere'], /expected a token at nowhere/],
  ])('%j is refused', async (wrong, message) => {
    const state = await temporaryFolder()
    const right = ['--server', 'http://127.0.0.1:1', '--id', 'd1', '--chip', 'esp32s3', '--state', join(state, 'd1'), '--once']
    const ran = await sayReflash(['device', ...right, ...wrong])
    expect(ran).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(message) })
  })

  it('refuses the state of another chip, and state that is damaged', async () => {
    const state = await temporaryFolder()
    const say = (chip: string) =>
      sayReflash(['device', '--server', 'http://127.0.0.1:1', '--id', 'd1', '--chip', chip, '--state', state, '--once'])
    expect(await say('esp32s3')).toMatchObject({ exitCode: 4 })
    expect(await say('esp32c3')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('expected the state of a esp32c3, found that of a esp32s3'),
    })
    await writeFile(join(state, 'device.json'), '{"format":1')
    expect(await say('esp32s3')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('DEVICE_STATE_INVALID') })
    expect(await readFile(join(state, 'device.json'), 'utf8')).toBe('{"format":1')
  })
})

describe('serve', () => {
  const base = ['serve', '--repository', 'oci:rel', '--state', at('unused')]
  const open = ['--allow-unsigned', '--allow-anonymous']

  it.each<[readonly string[], RegExp]>([
    [['serve'], /needs --repository .*; and either --key .*; and either --tokens/],
    [[...base, '--allow-anonymous'], /needs either --key <cosign\.pub>, which signs the releases, or --allow-unsigned/],
    [[...base, '--key', at('cosign.pub')], /needs either --tokens <file> with a token for each device, or --allow-anonymous/],
    [[...base, '--key', at('cosign.pub'), '--allow-unsigned', '--allow-anonymous'], /either --key or --allow-unsigned, found both/],
    [[...base, '--allow-unsigned', '--allow-anonymous', '--tokens', at('tokens')], /either --tokens or --allow-anonymous, found both/],
    [[...base, '--allow-unsigned', '--tokens', at('nowhere')], /expected a tokens file at/],
    [[...base, '--allow-unsigned', '--tokens', at('cosign.pub')], /line 1: expected "device-id token"/],
    [[...base, '--key', at('nowhere'), '--allow-anonymous'], /expected a public key at/],
    [[...base, '--allow-unsigned', '--allow-anonymous', '--listen', 'nonsense'], /nonsense/],
    [['serve', '--repository', 'oci:rel:1.0.0', '--allow-unsigned', '--allow-anonymous', '--state', at('unused')], /without tag or digest/],
    [[...base, '--allow-unsigned', '--allow-anonymous', '--config', at('nowhere.ts')], /expected a configuration at/],
    [[...base, '--allow-unsigned', '--allow-anonymous', '--config', at('tokens')], /tokens/],
    [[...base, ...open, '--dialect', 'hawkbt'], /--dialect <name>.*'hawkbt' is invalid\. expected one of native, otaflux, hawkbit/],
    [[...base, ...open, '--dialect', 'native', '--dialect', 'hawkbit'], /--dialect hawkbit: expected --swupdate <model> beside it/],
    [[...base, ...open, '--swupdate', 'gate'], /needs either --swu-signer <certificate\.pem>.*or --swu-unchecked/],
    [[...base, ...open, '--swu-signer', at('cosign.pub')], /--swu-signer: expected --swupdate <model> beside it/],
    [[...base, ...open, '--swu-platform', 'linux/arm64'], /--swu-platform: expected --swupdate <model> beside it/],
    [
      [...base, ...open, '--swupdate', 'gate', '--swu-unchecked', '--swu-signer', at('cosign.pub')],
      /either --swu-signer or --swu-unchecked/,
    ],
    [[...base, ...open, '--swupdate', 'gate', '--swu-signer', at('nowhere')], /expected a certificate at/],
    [[...base, ...open, '--swupdate', 'gate', '--swu-signer', at('tokens')], /signers\[0\]: expected a certificate or a public key in PEM/],
    [[...base, ...open, '--swupdate', 'gate', '--swu-unchecked', '--swu-platform', 'a/b/c/d'], /a\/b\/c\/d/],
    [[...base, ...open, '--gateway-token', at('tokens')], /either --gateway-token or --allow-anonymous, found both/],
    [[...base, '--allow-unsigned', '--gateway-token', at('nowhere')], /expected a token at/],
    [[...base, '--allow-unsigned', '--gateway-token', at('short')], /token: expected 16 to 1024 characters/],
    [[...base, '--allow-unsigned', '--allow-anonymous', '--log-level', 'loud'], /Allowed choices are debug, info, warn, error/],
  ])('%j is refused with exit code 2', async (args, message) => {
    const ran = await sayReflash(args)
    expect(ran).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(message) })
  })

  it('says what is open where everything is', { timeout: 60_000 }, async () => {
    const state = await temporaryFolder()
    const args = [
      'serve',
      '--repository',
      `oci:${at('rel')}`,
      '--allow-unsigned',
      '--allow-anonymous',
      '--trust-tag-versions',
      '--listen',
      '127.0.0.1:0',
    ]
    const server = startReflash([...args, '--state', state, '--json'])
    await server.seen(/"listening"[\s\S]*^}/m)
    const { stdout, exitCode } = await stop(server)
    expect(exitCode).toBe(0)
    const { opens } = JSON.parse(stdout) as { opens: readonly string[] }
    expect(opens.map((text) => text.split(':')[0]).sort()).toEqual([
      'anonymous-devices',
      'product',
      'trust-tag-versions',
      'unattested-devices',
      'unsigned-artifacts',
    ])
  })

  it('gives a port that is taken exit code 4', { timeout: 60_000 }, async () => {
    const state = await temporaryFolder()
    const server = await serve(join(state, 'a'))
    const ran = await runReflash([
      ...['serve', '--repository', 'oci:rel', '--allow-unsigned', '--allow-anonymous', '--state', join(state, 'b')],
      ...['--listen', new URL(server.url).host],
    ])
    expect(ran.exitCode).toBe(4)
    expect(ran.stderr).toContain('LISTEN_FAILED')
    await stop(server)
  })
})
