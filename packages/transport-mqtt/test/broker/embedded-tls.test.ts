import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tokenDevices } from '@reflash/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { embeddedBroker } from '../../src/broker/index.ts'
import { mqttClient } from '../../src/client/index.ts'
import { brokerDevices, mqttTransport } from '../../src/index.ts'
import { boardOf, gatewayOf, tokenOf, updateOverMqtt } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'reflash-embedded-tls-'))
const at = (name: string) => join(folder, name)
const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
const authenticators = [tokenDevices({ d1: tokenOf('d1') })]

// As people have it: a name that is not where the broker listens, from an authority that is no part of the file.
beforeAll(() => {
  writeFileSync(at('names'), 'subjectAltName=DNS:broker.example\nextendedKeyUsage=serverAuth\n')
  openssl('req', '-x509', ...newKey, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=authority')
  for (const name of ['own', 'other']) {
    openssl('req', ...newKey.slice(0, -2), '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', '/CN=broker.example')
    const signing = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at('names')]
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...signing, '-out', at(`${name}.crt`))
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const text = (name: string) => readFileSync(at(name), 'utf8')
const brokerWith = (name: string, chain = '') =>
  embeddedBroker({ listen: '127.0.0.1:0', authenticators, tls: { cert: text(`${name}.crt`) + chain, key: text(`${name}.key`) } })

test("the server reaches its own broker by TLS, whose certificate is another authority's and has another name", async () => {
  await using broker = await brokerWith('own')
  const transport = mqttTransport(broker.server)
  await transport.serve({ gateway: gatewayOf(), authenticators: [brokerDevices()] })
  const tls = { ca: text('ca.crt'), serverName: 'broker.example' }
  const client = mqttClient({ url: broker.url, version: '3.1.1', deviceId: 'd1', username: 'd1', password: tokenOf('d1'), tls })
  expect(await updateOverMqtt(client, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
  await client.close()
  await transport.close()
})

test('the server does not take another certificate of the same authority and name for its own', async () => {
  await using broker = await brokerWith('own', text('ca.crt'))
  await using other = await brokerWith('other')
  const transport = mqttTransport({ ...broker.server, url: other.url, limits: { connectMs: 500 } })
  const serving = transport.serve({ gateway: gatewayOf(), authenticators: [brokerDevices()] })
  await expect(serving).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
  await transport.close()
})
