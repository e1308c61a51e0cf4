import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { sayReflash } from '../testing/run-reflash.ts'

// One folder for all: every case here is refused, and none may leave anything behind.
const folder = mkdtempSync(join(tmpdir(), 'reflash-mqtt-wrong-'))
const at = (name: string) => join(folder, name)
writeFileSync(at('password'), 'hunter2\n')
writeFileSync(at('empty'), '\n')
writeFileSync(at('embedded.mjs'), "export default { mqtt: { listen: '127.0.0.1:0' } }\n")
writeFileSync(at('elsewhere.mjs'), "export default { mqtt: { url: 'mqtt://broker.example' } }\n")
writeFileSync(at('both.mjs'), "export default { mqtt: { url: 'mqtt://broker.example', listen: '127.0.0.1:0' } }\n")
writeFileSync(at('login.mjs'), "export default { mqtt: { username: 'server', password: 'hunter2' } }\n")
writeFileSync(at('half.mjs'), "export default { mqtt: { tls: { cert: 'PEM' } } }\n")
writeFileSync(at('silent.mjs'), 'export default { http: false }\n')
const state = mkdtempSync(join(tmpdir(), 'reflash-mqtt-state-'))
afterAll(() => {
  for (const each of [folder, state]) rmSync(each, { recursive: true, force: true })
})

async function refused(args: readonly string[], code: string, message: RegExp): Promise<void> {
  const before = await readdir(folder, { recursive: true })
  const ran = await sayReflash(args, { env: { REFLASH_MQTT_PASSWORD: 'hunter2' } })
  expect(ran).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(message) })
  expect(ran.stderr).toMatch(new RegExp(`^reflash: ${code}: `, 'm'))
  expect(ran.stderr).toMatch(/^ {2}what to do: \S/m)
  expect(ran.stderr).not.toContain('hunter2')
  expect(await readdir(folder, { recursive: true })).toEqual(before)
}

const embedded = ['--mqtt-listen', '127.0.0.1:0']
const broker = ['--mqtt-broker', 'mqtt://127.0.0.1:1']

describe('serve', () => {
  it.each<[readonly string[], string, RegExp]>([
    [[...embedded, ...broker], 'USAGE', /either --mqtt-listen, for the broker in this process, or --mqtt-broker, found both/],
    [['--mqtt', ...broker], 'USAGE', /either --mqtt, for the broker in this process, or --mqtt-broker, found both/],
    [['--otaflux-topic', 'fw'], 'USAGE', /--otaflux-topic: expected --mqtt, --mqtt-listen or --mqtt-broker beside it/],
    [['--mqtt-share', 'g'], 'USAGE', /--mqtt-share: expected --mqtt, --mqtt-listen or --mqtt-broker beside it/],
    [['--mqtt-version', '5'], 'USAGE', /--mqtt-version: expected --mqtt, --mqtt-listen or --mqtt-broker beside it/],
    [['--mqtt-key', 'k'], 'USAGE', /--mqtt-key: expected --mqtt, --mqtt-listen or --mqtt-broker beside it/],
    [['--mqtt-prefix', 'k'], 'USAGE', /--mqtt-prefix: expected --mqtt, --mqtt-listen or --mqtt-broker beside it/],
    [['--mqtt', '--mqtt-version', '5'], 'USAGE', /expected 3\.1\.1, which is what the broker in this process speaks, .*found 5/],
    [['--mqtt', '--mqtt-version', '4'], 'USAGE', /Allowed choices are 5, 3\.1\.1/],
    [['--mqtt', '--mqtt-username', 'u'], 'USAGE', /--mqtt-username: expected --mqtt-broker <url> beside it/],
    [['--mqtt', '--mqtt-password-file', 'p'], 'USAGE', /--mqtt-password-file: expected --mqtt-broker <url> beside it/],
    [['--mqtt', '--mqtt-ca', 'ca.pem'], 'USAGE', /--mqtt-ca: expected --mqtt-broker <url> beside it/],
    [['--mqtt', '--mqtt-share', 'g'], 'USAGE', /--mqtt-share: .*replicas cannot share a broker that lives in one of them/],
    [['--mqtt', '--mqtt-trust-topics'], 'USAGE', /--mqtt-trust-topics: .*the embedded broker keeps devices apart/],
    [['--mqtt', '--mqtt-cert', 'c'], 'USAGE', /--mqtt-cert and --mqtt-key together, found only one/],
    [[...broker, '--mqtt-key', 'k'], 'USAGE', /--mqtt-cert and --mqtt-key together, found only one/],
    [[...broker, '--mqtt-password-file', at('password')], 'USAGE', /--mqtt-password-file: expected --mqtt-username beside it/],
    [[...broker, '--mqtt-username', 'u', '--mqtt-password-file', at('none')], 'FILE_NOT_FOUND', /expected a password at .*none/],
    [
      [...broker, '--mqtt-username', 'u', '--mqtt-password-file', at('empty')],
      'USAGE',
      /expected a password in .*empty, found an empty file/,
    ],
    [['--mqtt-broker', 'http://127.0.0.1:1'], 'USAGE', /--mqtt-broker: expected mqtt:\/\/host\[:port\] or mqtts:/],
    [['--mqtt-broker', 'nonsense'], 'USAGE', /--mqtt-broker: expected mqtt:\/\/host/],
    [['--mqtt-broker', 'mqtt://u:hunter2@host'], 'USAGE', /found credentials in the URL, which others can see/],
    [['--mqtt-broker', 'mqtt://host/path'], 'INVALID_OPTIONS', /url: expected mqtt\(s\):\/\/host\[:port\] without credentials, path/],
    [[...broker, '--mqtt-cert', at('password'), '--mqtt-key', at('password')], 'INVALID_OPTIONS', /expected mqtts:\/\/ where tls is given/],
    [['--mqtt-broker', 'mqtts://h', '--mqtt-ca', at('none')], 'FILE_NOT_FOUND', /expected a certificate authority at/],
    [[...embedded, '--mqtt-cert', at('password'), '--mqtt-key', at('password')], 'INVALID_OPTIONS', /tls: expected cert and key in PEM/],
    [['--mqtt-listen', 'nonsense'], 'INVALID_OPTIONS', /listen: expected host:port such as 127\.0\.0\.1:1883/],
    [[...embedded, '--mqtt-prefix', 'a/#'], 'INVALID_OPTIONS', /prefix: expected/],
    [[...embedded, '--otaflux-topic', 'a/#'], 'INVALID_OPTIONS', /otafluxTopic: expected a topic without wildcards/],
    [[...broker, '--mqtt-share', 'a b'], 'INVALID_OPTIONS', /share: expected a name/],
    [['--no-http'], 'USAGE', /expected --mqtt, --mqtt-listen or --mqtt-broker where devices have no HTTP, found none/],
    [['--config', at('silent.mjs')], 'USAGE', /where devices have no HTTP, found none/],
    [['--no-http', '--mqtt', '--listen', '127.0.0.1:0'], 'USAGE', /expected either --listen or --no-http, found both/],
    [['--config', at('embedded.mjs'), '--mqtt-share', 'g'], 'USAGE', /--mqtt-share: expected --mqtt-broker <url> beside it/],
    [['--config', at('elsewhere.mjs'), ...embedded, '--mqtt-share', 'g'], 'USAGE', /--mqtt-share: expected --mqtt-broker <url> beside it/],
    [['--config', at('both.mjs')], 'CONFIG_UNREADABLE', /mqtt: expected either url, .*or listen, .*found both/],
    [['--config', at('login.mjs')], 'CONFIG_UNREADABLE', /mqtt\.username: expected mqtt\.url, .*found none/],
    [['--config', at('half.mjs')], 'CONFIG_UNREADABLE', /mqtt\.tls: expected cert and key/],
  ])('%j is refused with %s', async (args, code, message) => {
    const open = ['serve', '--repository', 'oci:rel', '--allow-unsigned', '--allow-anonymous', '--state', state]
    // A configuration that says where HTTP is wins over none; nothing here comes so far as to listen.
    const listen = args.includes('--no-http') || args.includes(at('silent.mjs')) ? [] : ['--listen', '127.0.0.1:0']
    await refused([...open, ...listen, ...args], code, message)
  })
})

describe('device', () => {
  const over = (server: string) => ['device', '--server', server, '--id', 'd1', '--chip', 'esp32s3', '--state', at('d1'), '--once']

  it.each<[readonly string[], string, RegExp]>([
    [over('ftp://x'), 'USAGE', /--server: expected http\(s\):\/\/ or mqtt\(s\):\/\//],
    [over('mqtt://d1:hunter2@x'), 'USAGE', /--server: .*found credentials in the URL/],
    [over('mqtt://'), 'INVALID_OPTIONS', /url: expected mqtt\(s\):/],
    [[...over('http://127.0.0.1:1'), '--mqtt-version', '5'], 'USAGE', /--mqtt-version: expected --server mqtt\(s\):\/\/host/],
    [[...over('http://127.0.0.1:1'), '--mqtt-prefix', 'x'], 'USAGE', /--mqtt-prefix: expected --server mqtt\(s\):\/\/host/],
    [[...over('http://127.0.0.1:1'), '--mqtt-username', 'x'], 'USAGE', /--mqtt-username: expected --server mqtt\(s\):\/\/host/],
    [[...over('http://127.0.0.1:1'), '--mqtt-ca', 'x'], 'USAGE', /--mqtt-ca: expected --server mqtt\(s\):\/\/host/],
    [[...over('mqtt://127.0.0.1:1'), '--mqtt-password-file', at('password')], 'USAGE', /expected --mqtt-username beside it/],
    [[...over('mqtts://127.0.0.1:1'), '--mqtt-cert', 'x'], 'USAGE', /--mqtt-cert and --mqtt-key together/],
    [[...over('mqtts://127.0.0.1:1'), '--mqtt-ca', at('none')], 'FILE_NOT_FOUND', /expected a certificate authority/],
    [[...over('mqtt://127.0.0.1:1'), '--mqtt-ca', at('password')], 'INVALID_OPTIONS', /expected mqtts:/],
    [[...over('mqtt://127.0.0.1:1'), '--mqtt-prefix', '+'], 'INVALID_OPTIONS', /prefix: expected/],
    [[...over('mqtt://127.0.0.1:1'), '--id', 'a b'], 'INVALID_OPTIONS', /deviceId: expected/],
    [[...over('mqtt://127.0.0.1:1'), '--token', 'x'.repeat(1025)], 'INVALID_OPTIONS', /token: expected/],
  ])('%j is refused with %s', async (args, code, message) => {
    await refused(args, code, message)
  })
})
