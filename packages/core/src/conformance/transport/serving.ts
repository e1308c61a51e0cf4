import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import type { DeviceState } from '../../plugin/device.ts'
import type { Evidence } from '../../plugin/evidence-verifier.ts'
import type { CheckInAnswer, CheckInOptions } from '../../plugin/gateway.ts'
import type { Report } from '../../update/observation.ts'
import { expectBytes, gather } from '../content.ts'
import { refused, refusesFired } from '../refusal.ts'
import type { PullState, TransportRule } from '../transport-suite.ts'
import { nextTurn, within } from '../within.ts'
import { carrying, openStand, type ServeStand, serveRule, suiteImage } from './serve-stand.ts'
import { type GatewayCall, offerOf } from './suite-gateway.ts'

type Reported = Partial<Omit<DeviceState, 'id'>>

/** What the gateway was told at the one check-in since the last look. */
function onlyCheckIn(what: string, stand: ServeStand) {
  const calls = stand.taken().filter(({ name }) => name === 'checkIn')
  strictEqual(calls.length, 1, `${what}: expected one check-in at the gateway, found ${calls.length}`)
  const [reported, evidence, options] = (calls[0] as GatewayCall).args as [Reported | undefined, Evidence | undefined, CheckInOptions]
  return { who: calls[0]?.who, reported: reported ?? {}, evidence, options }
}

/** Texts that wires and their formats stumble over. */
const wildTexts = ['a "b" c', "d'e", 'f\\g', '{"h":1}', '<i>&amp;</i>', 'j%2Fk', 'é € 😀', ' l ', 'm\tn']

const attributes: Readonly<Record<string, Json>> = {
  text: 'x',
  number: 1.5,
  yes: true,
  nothing: null,
  list: [1, 'two', { three: 3 }],
  constructor: 'not a function',
}

/** What a dialect has to carry there and back. */
export const serveRules: readonly TransportRule[] = [
  serveRule('addresses', 'says where it can be reached, as URLs', async ({ serving }) => {
    ok(serving.addresses.length > 0, 'addresses: expected at least one, found none')
    for (const address of serving.addresses) ok(URL.canParse(address), `addresses: expected URLs, found ${JSON.stringify(address)}`)
    ok(typeof serving[Symbol.asyncDispose] === 'function', 'expected that a server can be disposed')
  }),
  serveRule(
    'checks-in',
    'carries a check-in to the gateway once, with who the authenticator says it is, and its offer back',
    async (stand) => {
      const { gateway, devices, carries } = stand
      for (const [index, device] of devices.slice(0, 2).entries()) {
        const offer = offerOf(gateway.image({ deviceId: device.id, by: 'token' }), `1.${index}.0`, 7 + index)
        gateway.answer = () => ({ offer, pollAfterMs: 120_000, because: [{ code: 'SUITE', message: 'the suite says so' }] })
        const answer = await within(stand.stepMs, 'a check-in', (await stand.client(device)).checkIn())
        const { who, options } = onlyCheckIn('a check-in', stand)
        strictEqual(who?.deviceId, device.id, `expected a principal ${device.id}, found ${who?.deviceId}`)
        if (stand.pull.authenticators === undefined) strictEqual(who?.by, 'token', `expected a principal by token, found by ${who?.by}`)
        strictEqual(options?.reports ?? true, carries('reports'), `expected reports: ${carries('reports')}, found ${options?.reports}`)
        const told = answer.offer
        ok(told !== undefined, 'expected the offer of the gateway, found none')
        const { descriptor, crc32 } = offer.components[0]?.representations[0] ?? {}
        deepStrictEqual([told.version, told.size], [offer.version, descriptor?.size])
        if (carries('seq')) strictEqual(told.seq, offer.seq)
        if (carries('digest')) strictEqual(told.digest, descriptor?.digest)
        if (carries('crc32')) strictEqual(told.crc32, crc32)
        if (carries('poll')) strictEqual(answer.pollAfterMs, 120_000)
      }
    },
  ),
  serveRule('idle', 'tells a device that there is nothing for it, when to ask again, and why', async (stand) => {
    const idle: CheckInAnswer = { pollAfterMs: 300_000, because: [{ code: 'UP_TO_DATE', message: 'it is' }] }
    stand.gateway.answer = () => idle
    const answer = await within(stand.stepMs, 'an idle check-in', (await stand.client()).checkIn())
    strictEqual(answer.offer, undefined, 'expected no offer')
    if (stand.carries('poll')) strictEqual(answer.pollAfterMs, 300_000)
    if (stand.carries('reasons')) strictEqual(answer.because?.[0]?.code, 'UP_TO_DATE')
  }),
  serveRule('said', 'carries what a device says of itself as it was said', async (stand) => {
    const { carries } = stand
    const client = await stand.client()
    const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as const
    for (const text of wildTexts) {
      const said: PullState = {
        ...(carries('model') ? { model: text } : {}),
        ...(carries('installed') ? { installed: { version: text, digest, state: 'pending' } } : {}),
        ...(carries('attributes') ? { attributes: { ...attributes, [text]: text } } : {}),
      }
      await within(stand.stepMs, 'a check-in', client.checkIn(said))
      const { reported } = onlyCheckIn('a check-in', stand)
      const found = Object.fromEntries(Object.entries(reported).filter(([, value]) => value !== undefined))
      deepStrictEqual(plain(found), plain(said), `a check-in that says ${JSON.stringify(text)}`)
    }
  }),
  serveRule(
    'evidence',
    'carries evidence and challenge byte for byte',
    async (stand) => {
      const challenge = Uint8Array.from({ length: 48 }, (_, index) => 255 - index * 5)
      stand.gateway.answer = () => ({ wants: ['evidence'], challenge, pollAfterMs: 1_000, because: [] })
      const client = await stand.client()
      const body = Uint8Array.from({ length: 300 }, (_, index) => index)
      const evidence: Evidence = { mediaType: 'application/eat+cwt', body }
      const answer = await within(stand.stepMs, 'a check-in', client.checkIn({ evidence }))
      const { evidence: found } = onlyCheckIn('a check-in', stand)
      strictEqual(found?.mediaType, evidence.mediaType)
      expectBytes('the evidence', found.body, body)
      expectBytes('the challenge', answer.challenge ?? new Uint8Array(), challenge)
    },
    carrying('evidence'),
  ),
  serveRule(
    'cancels',
    'tells a device that an offer is taken back',
    async (stand) => {
      stand.gateway.answer = () => ({ cancel: 7, pollAfterMs: 1_000, because: [] })
      strictEqual((await within(stand.stepMs, 'a check-in', (await stand.client()).checkIn())).cancel, 7)
    },
    carrying('cancel'),
  ),
  serveRule(
    'reports',
    'carries every report to its offer, in order, however often it is said',
    async (stand) => {
      const client = await stand.client()
      const said = stand.pull.reports ?? everyReport
      const { offer } = await within(stand.stepMs, 'a check-in', client.checkIn())
      stand.taken()
      for (const report of said) {
        for (let times = 0; times < 2; times++) {
          await within(stand.stepMs, 'a report', client.report?.(offer?.seq ?? 7, report))
          const calls = stand.taken().filter(({ name }) => name === 'report')
          ok(calls.length > 0 || times > 0, `expected that the gateway hears ${report.state} before its sender is told so, found nothing`)
          for (const { who, args } of calls) {
            strictEqual(who.deviceId, stand.devices[0].id)
            strictEqual(args[0], 7, `expected a report on offer 7, found one on ${String(args[0])}`)
            deepStrictEqual(plain(args[1]), plain(report))
          }
        }
      }
    },
    carrying('reports'),
  ),
  serveRule('many', 'answers many devices at the same time, each with its own, though the first is answered last', async (stand) => {
    const { gateway, devices, stepMs } = stand
    const waiting: (() => void)[] = []
    // A few bytes for each, and different ones.
    const images = new Map(devices.map(({ id }, index) => [id, { bytes: suiteImage.subarray(0, 2000 + index) }]))
    const imageFor = (id: string) => images.get(id) ?? { bytes: suiteImage }
    gateway.image = ({ deviceId }) => imageFor(deviceId)
    gateway.before = ({ name }) =>
      name !== 'checkIn'
        ? undefined
        : new Promise<void>((resolve) => {
            waiting.push(resolve)
            if (waiting.length === devices.length) for (const release of waiting.reverse()) setImmediate(release)
          })
    await within(
      stepMs * 1.5,
      `${devices.length} check-ins at once`,
      Promise.all(
        devices.map(async (device) => {
          const client = await stand.client(device)
          const { offer } = await client.checkIn()
          ok(offer !== undefined, `${device.id}: expected an offer, found none`)
          const { bytes } = imageFor(device.id)
          strictEqual(offer.size, bytes.length, `${device.id}: expected its own offer, found another's`)
          expectBytes(`the image of ${device.id}`, await gather('the image', client.image(offer)), bytes)
        }),
      ),
    )
  }),
  serveRule('abort-before', 'opens nothing for a caller who has left', async (stand) => {
    await refusesFired('serve', (signal) => stand.serve({}, { signal }))
    await stand.honest('after it')
  }),
  serveRule('abort-after', 'serves on where its signal fires once it serves', async (_stand, scene) => {
    const controller = new AbortController()
    const { stand, close } = await openStand(await scene.make(), scene, { signal: controller.signal })
    try {
      controller.abort()
      await nextTurn(3)
      await stand.honest('after the signal of serve() has fired')
    } finally {
      await close()
    }
  }),
  serveRule('isolated', 'shares no device, no gateway and no end with another plugin', async (stand, scene) => {
    const { stand: other, close } = await openStand(await scene.make(), scene)
    try {
      await other.honest('a device of the other plugin', other.devices[1])
      strictEqual(stand.taken().length, 0, 'expected that the gateway of the first plugin hears nothing of it')
    } finally {
      await close()
    }
    await stand.honest('after the end of the other plugin')
    strictEqual(other.taken().filter(({ who }) => who.deviceId === stand.devices[0].id).length, 0)
  }),
  serveRule('again', 'serves again after its end', async (stand) => {
    await stand.serving[Symbol.asyncDispose]()
    const serving = await stand.serve()
    const client = await stand.client(stand.devices[0], serving.addresses[0])
    ok((await within(stand.stepMs, 'a check-in', client.checkIn())).offer !== undefined, 'expected an offer')
  }),
  serveRule(
    'closed',
    'ends its servers when it is closed, and refuses to serve from then on',
    async (stand) => {
      const { plugin } = stand.instance
      await within(stand.stepMs, 'close()', plugin.close?.())
      const what = 'a check-in after close()'
      await within(
        stand.stepMs,
        what,
        refused(what, { fault: 'unavailable' }, async () => (await stand.client()).checkIn()),
      )
      await within(
        stand.stepMs,
        'serve() after close()',
        refused('serve() after close()', { fault: ['invalid', 'unavailable', 'unsupported', 'aborted'] }, () => stand.serve()),
      )
      strictEqual(stand.taken().length, 0, 'expected no call of the gateway after close()')
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
]

const everyReport: readonly Report[] = [
  { state: 'downloading', received: 4096 },
  { state: 'downloaded' },
  { state: 'installing' },
  { state: 'installed' },
  { state: 'confirmed' },
  { state: 'failed', code: 'E_FLASH', messages: ['block 7: "bad"', 'é € 😀'] },
  { state: 'rejected' },
  { state: 'canceled' },
  { state: 'cancel-refused' },
  { state: 'rolled-back' },
]

/** As JSON has it: prototypes and absent members aside. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
