import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createGateway,
  createRollout,
  type DeviceEvent,
  digestOf,
  diskCache,
  type ReflashOptions,
  streamOf,
  tokenDevices,
  unattestedDevices,
} from '@reflash/core'
import { memoryFleet, memoryJournal } from '@reflash/core/testing'
import { cosignVerifier, generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { swupdateTarget } from '@reflash/target-swupdate'
import { buildSwu, testSigner } from '@reflash/target-swupdate/testing'
import { httpTransport, type RequestRecord } from '@reflash/transport-http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { cuttingProxy } from './swupdate/cutting-proxy.ts'
import { hasSwupdate } from './swupdate/has-swupdate.ts'
import { slowProxy } from './swupdate/slow-proxy.ts'
import { type SwupdateDevice, swupdateDevice } from './swupdate/swupdate-device.ts'

const signer = testSigner({ name: 'updates' })
const device = { id: 'gate-1', token: 'token-of-gate-1-0123456789abcdef' }

/** A server with one signed release, and the events and requests of its device. */
async function serverWith(swu: Uint8Array, options: Partial<ReflashOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-ddi-'))
  const registry = ociRegistry()
  const keys = await generateKeyPair('secret')
  const reference = `oci:${folder}/releases:1.1.0`
  const file = { open: () => streamOf(swu), size: swu.length, digest: digestOf(swu), title: 'gate.swu' }
  await pushArtifact(registry, reference, [{ ...file, platform: { os: 'linux', architecture: 'arm64' } }], {
    product: 'gate',
    created: new Date(),
  })
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))
  const events: DeviceEvent[] = []
  const records: RequestRecord[] = []
  const journal = memoryJournal()
  const authenticators = [tokenDevices({ [device.id]: device.token })]
  const gateway = createGateway({
    repository: `oci:${folder}/releases`,
    product: 'gate',
    registry,
    verifiers: [cosignVerifier({ keys: [keys.publicKeyPem] })],
    targets: [swupdateTarget({ models: ['gate'], signers: [signer.certificate], platform: 'linux/arm64' })],
    authenticators,
    attestation: [unattestedDevices()],
    journal,
    cache: diskCache({ directory: join(folder, 'cache') }),
    pollMs: 1_000,
    policy: { attempts: 1 },
    onEvent: (event) => event.type === 'device' && events.push(event),
    ...options,
  })
  const transport = httpTransport({
    listen: '127.0.0.1:0',
    dialects: ['hawkbit'],
    limits: { drainMs: 0 },
    onRequest: (record) => records.push(record),
  })
  const serving = await transport.serve({ gateway, authenticators })
  onTestFinished(async () => {
    await serving[Symbol.asyncDispose]()
    await gateway.composition.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { url: serving.addresses[0] as string, events, records, journal, gateway }
}

async function until(what: string, holds: () => boolean, swupdate: SwupdateDevice): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!holds()) {
    if (performance.now() > deadline || swupdate.died !== undefined) {
      throw new Error(`expected ${what}; ${swupdate.died ?? 'it did not come'}; the device says:\n${swupdate.log.slice(-6_000)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function deviceAt(server: string, hardware: string, tells: boolean, token = device.token): SwupdateDevice {
  const made = swupdateDevice({ server, ...device, token, certificate: signer.certificate, hardware, tells })
  onTestFinished(() => made[Symbol.asyncDispose]())
  return made
}

/** A plain file in the place of a partition. */
function partitionFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-part-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'partition.img')
  writeFileSync(path, new Uint8Array(0))
  return path
}

const asked = (records: readonly RequestRecord[]): readonly string[] =>
  records.map(({ method, route, status }) => `${method} ${route} ${status}`)

describe.runIf(hasSwupdate())("Debian's swupdate", () => {
  test('tells its attributes, downloads over a connection that breaks, installs, and confirms after its restart', {
    timeout: 60_000,
  }, async () => {
    const image = randomBytes(2_000_000)
    const partition = partitionFile()
    const { url, events, records, journal } = await serverWith(buildSwu({ version: '1.1.0', image, device: partition, sign: signer.sign }))
    await using proxy = await cuttingProxy(url, 700_000)
    const swupdate = deviceAt(proxy.url, 'gate:1.0', true)
    const passed = (stage: string): boolean => events.some((event) => event.stage === stage && event.status === 'passed')

    swupdate.start()
    await until('an installed update', () => passed('install'), swupdate)
    expect(readFileSync(partition).equals(image)).toBe(true)
    expect(proxy.cuts).toBe(1)
    // HEAD and GET, and the rest of it after the cut.
    const downloads = asked(records).filter((line) => line.includes('hawkbit.artifact'))
    expect(downloads.slice(0, 2)).toEqual(['HEAD hawkbit.artifact 200', 'GET hawkbit.artifact 200'])
    expect(downloads.at(-1)).toBe('GET hawkbit.artifact 206')
    expect(
      records.filter(({ route, method }) => route === 'hawkbit.artifact' && method === 'GET').reduce((sum, { bytes }) => sum + bytes, 0),
    ).toBeLessThan(image.length * 2)
    expect(asked(records).filter((line) => line.startsWith('PUT'))).toEqual(['PUT hawkbit.config-data 200'])
    // It runs the old image until its restart, and nothing makes the server think otherwise.
    const polls = records.length
    await until(
      'another poll',
      () =>
        asked(records)
          .slice(polls)
          .filter((line) => line === 'GET hawkbit.poll 200').length >= 1,
      swupdate,
    )
    expect(passed('confirm')).toBe(false)

    await swupdate.stop()
    swupdate.start(true)
    await until('a confirmed update', () => passed('confirm'), swupdate)
    // Then there is nothing to do; what it says of itself is asked for anew, at once: counted from the beginning, because it may have told it before
    // its confirmation was seen here. And it goes on polling.
    const told = /PUT hawkbit.config-data 200.*PUT hawkbit.config-data 200.*GET hawkbit.poll 200/
    await until('its attributes again, and a poll', () => told.test(asked(records).join()), swupdate)
    expect(asked(records).filter((line) => line.startsWith('PUT')).length).toBe(2)
    expect(asked(records).filter((line) => line.includes('hawkbit.artifact')).length).toBe(downloads.length)
    const record = (await journal.get(`device/${device.id}`))?.value
    expect(record).toMatchObject({
      attributes: { hardware: 'gate:1.0', serial: device.id },
      history: [{ outcome: 'confirmed', version: '1.1.0' }],
    })
  })

  test('refuses an update for other hardware, and says so: the update ends as failed, with the reason', { timeout: 60_000 }, async () => {
    const partition = partitionFile()
    const { url, events, journal } = await serverWith(
      buildSwu({ version: '1.1.0', image: randomBytes(50_000), device: partition, sign: signer.sign }),
    )
    const swupdate = deviceAt(url, 'gate:9.9', false)
    swupdate.start()
    await until('a failed update', () => events.some(({ status }) => status === 'failed'), swupdate)
    expect(readFileSync(partition).length).toBe(0)
    const record = (await journal.get(`device/${device.id}`))?.value as {
      readonly history: readonly { readonly outcome: string; readonly because: readonly { readonly code: string }[] }[]
    }
    expect(record.history.map(({ outcome, because }) => [outcome, because[0]?.code])).toEqual([['failed', 'DEVICE_FAILED']])
  })

  test('fails half way where it cannot write, and says so: the update ends as failed, and is not offered again', {
    timeout: 60_000,
  }, async () => {
    const nowhere = join(partitionFile(), 'beneath-a-file')
    const { url, events, records, journal } = await serverWith(
      buildSwu({ version: '1.1.0', image: randomBytes(50_000), device: nowhere, sign: signer.sign }),
    )
    const swupdate = deviceAt(url, 'gate:1.0', true)
    swupdate.start()
    await until('a failed update', () => events.some(({ status }) => status === 'failed'), swupdate)
    const ended = records.length
    await until('another poll', () => asked(records.slice(ended)).includes('GET hawkbit.poll 200'), swupdate)
    expect(asked(records)).toContain('GET hawkbit.artifact 200')
    expect(asked(records.slice(ended)).filter((line) => line.includes('hawkbit.deployment'))).toEqual([])
    expect((await journal.get(`device/${device.id}`))?.value).toMatchObject({
      seq: 1,
      history: [{ outcome: 'failed', because: [{ code: 'DEVICE_FAILED' }] }],
    })
  })

  test('stops its download where the deployment is aborted, has not failed, and takes the update from the next one', {
    timeout: 60_000,
  }, async () => {
    const image = randomBytes(2_000_000)
    const partition = partitionFile()
    const swu = buildSwu({ version: '1.1.0', image, device: partition, sign: signer.sign })
    const { url, events, records, journal, gateway } = await serverWith(swu, { fleet: memoryFleet() })
    const rollout = createRollout(gateway.composition)
    await using proxy = await slowProxy(url)
    const swupdate = deviceAt(proxy.url, 'gate:1.0', true)
    swupdate.start()
    await until('its attributes', () => asked(records).includes('PUT hawkbit.config-data 200'), swupdate)
    const begin = async (id: string): Promise<void> => {
      await rollout.create({ id, version: '1.1.0', waves: [100] }, { by: 'ann' })
      await rollout.ticker({ holder: 'one' }).tick()
    }
    await begin('first')
    await until('a download', () => proxy.brought > 200_000, swupdate)
    await rollout.abort('first', { by: 'ann' })
    await until('a canceled update', () => events.some(({ status }) => status === 'superseded'), swupdate)
    proxy.hurry()
    const cancels = asked(records).filter((line) => line.includes('hawkbit.cancel'))
    expect(cancels).toContain('GET hawkbit.cancel 200')
    expect(cancels.filter((line) => line.startsWith('POST'))).toEqual(['POST hawkbit.cancel-feedback 200'])
    expect(events.some(({ status }) => status === 'failed')).toBe(false)
    expect(await rollout.show('first')).toMatchObject({ state: 'aborted', counters: { failed: 0, withdrawn: 1 } })
    // One failure would have been the last: there is one attempt.
    await begin('second')
    await until('an installed update', () => events.some(({ stage, status }) => stage === 'install' && status === 'passed'), swupdate)
    expect(readFileSync(partition).equals(image)).toBe(true)
    expect((await journal.get(`device/${device.id}`))?.value).toMatchObject({
      open: { seq: 2, deployment: { id: 'second' } },
      history: [{ seq: 1, outcome: 'superseded', tried: false, because: [{ code: 'SUPERSEDED' }, { code: 'CANCELED' }] }],
    })
  })

  test("gets nothing with another device's token", { timeout: 60_000 }, async () => {
    const partition = partitionFile()
    const { url, records, journal } = await serverWith(
      buildSwu({ version: '1.1.0', image: randomBytes(50_000), device: partition, sign: signer.sign }),
    )
    const swupdate = deviceAt(url, 'gate:1.0', true, 'token-of-gate-2-0123456789abcdef')
    swupdate.start()
    await until('two attempts', () => records.length >= 2, swupdate)
    expect(new Set(records.map(({ status }) => status))).toEqual(new Set([401]))
    expect(await journal.get(`device/${device.id}`)).toBeUndefined()
    expect(readFileSync(partition).length).toBe(0)
  })
})
