import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { fail } from '../../core-errors.ts'
import type { OtaError } from '../../errors.ts'
import type { Authenticator, Credentials } from '../../plugin/authenticator.ts'
import { gather } from '../content.ts'
import { refused } from '../refusal.ts'
import type { Caller, PullClient, TransportRule } from '../transport-suite.ts'
import { within } from '../within.ts'
import { carrying, ownAuthenticator, type ServeStand, serveRule, suiteImage } from './serve-stand.ts'

const offer = { version: '1.1.0', size: suiteImage.length, seq: 7 }
const denied = { fault: ['rejected', 'unavailable', 'invalid', 'internal'] } as const

/** Everything that a device can ask for. */
export function asks(stand: ServeStand): Readonly<Record<string, (client: PullClient) => Promise<unknown>>> {
  return {
    'a check-in': (client) => client.checkIn(),
    'an image': (client) => gather('an image', client.image(offer)),
    ...(stand.carries('reports') ? { 'a report': async (client: PullClient) => client.report?.(7, { state: 'installed' }) } : {}),
  }
}

/** Holds that nothing comes of whatever a caller asks for. */
async function shutOut(name: string, stand: ServeStand, caller: Caller, address?: string): Promise<readonly OtaError[]> {
  const errors: OtaError[] = []
  for (const [what, ask] of Object.entries(asks(stand))) {
    const shown = `${what} of a device ${name}`
    errors.push(
      await within(
        stand.stepMs,
        shown,
        refused(shown, denied, async () => ask(await stand.client(caller, address))),
      ),
    )
    const calls = stand.taken().map((call) => call.name)
    deepStrictEqual(calls, [], `${shown}: expected that the gateway hears nothing of it, found ${calls.join(', ')}`)
  }
  return errors
}

async function served(stand: ServeStand, authenticators: readonly Authenticator[]): Promise<string> {
  await Promise.resolve(stand.serving[Symbol.asyncDispose]()).catch(() => undefined)
  const serving = await stand.serve({ authenticators })
  return serving.addresses[0] as string
}

const authenticatorOf = (name: string, authenticate: Authenticator['authenticate']): Authenticator =>
  Object.freeze<Authenticator>({ kind: 'authenticator', name, spec: 0, authenticate })

/** Who may come in. */
export const authenticationRules: readonly TransportRule[] = [
  serveRule('unauthenticated', 'lets nothing of a device come to the gateway that does not prove who it is', async (stand) => {
    const [{ id, token }] = stand.devices
    await shutOut('without a token', stand, { id })
    await shutOut('with a wrong token', stand, { id, token: `${token}x` })
    await shutOut('with a shorter token', stand, { id, token: token.slice(0, -1) })
    await shutOut('that nobody knows', stand, { id: 'device-99', token: 'token-of-nobody' })
    await stand.honest('after them')
  }),
  serveRule('not-yours', 'lets nothing come to the gateway of a device that speaks in the name of another', async (stand) => {
    const [first, second] = stand.devices
    await shutOut('with the token of another', stand, { id: first.id, token: second.token })
    for (const id of ['../device-2', 'device-2/', 'device-2%00', 'DEVICE-2', 'device-2#', 'device-1/../device-2'])
      await shutOut(`that calls itself ${JSON.stringify(id)}`, stand, { id, token: second.token })
    await stand.honest('after them', second)
  }),
  serveRule(
    'authenticators',
    'asks the authenticators in their order until one knows the device',
    async (stand) => {
      const asked: string[] = []
      const seen: Credentials[] = []
      const [{ id, token }] = stand.devices
      const address = await served(stand, [
        authenticatorOf('first', () => void asked.push('first')),
        authenticatorOf('second', async (credentials) => {
          asked.push('second')
          seen.push(credentials)
          return { deviceId: id, by: 'attestation' }
        }),
        authenticatorOf('third', () => {
          asked.push('third')
          return { deviceId: id, by: 'token' }
        }),
      ])
      const client = await stand.client(stand.devices[0], address)
      await within(stand.stepMs, 'a check-in', client.checkIn())
      deepStrictEqual(asked.slice(0, 2), ['first', 'second'], 'expected the order in which they were given')
      ok(!asked.includes('third'), 'expected that nobody is asked behind the one who knows')
      deepStrictEqual([seen[0]?.claimedId, seen[0]?.token], [id, token], 'expected the id and the token as they came')
      strictEqual(stand.taken()[0]?.who.by, 'attestation', 'expected the principal that the authenticator has made')
    },
    ownAuthenticator,
  ),
  serveRule(
    'authenticator-fails',
    'lets nobody in where an authenticator fails, or none is there',
    async (stand) => {
      const [device] = stand.devices
      const knows = authenticatorOf('knows', () => ({ deviceId: device.id, by: 'token' }))
      const failing = {
        'an authenticator that is down': () => Promise.reject(fail('DEVICE_SILENT', 'the suite is silent')),
        'an authenticator that breaks': () => {
          throw new TypeError('the suite breaks it')
        },
      }
      for (const [name, authenticate] of Object.entries(failing))
        await shutOut(`before ${name}`, stand, device, await served(stand, [authenticatorOf(name, authenticate), knows]))
      await shutOut('where nobody knows anybody', stand, device, await served(stand, [authenticatorOf('nobody', () => undefined)]))
      await shutOut('before no authenticator', stand, device, await served(stand, []))
    },
    ownAuthenticator,
  ),
  serveRule(
    'peer-leaves',
    'tells the gateway that a device has left which waits for its answer',
    async (stand) => {
      const left = Promise.withResolvers<void>()
      stand.gateway.before = ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            left.resolve()
            reject(signal.reason)
          })
        })
      const client = await stand.client()
      const waiting = client.checkIn()
      waiting.catch(() => undefined)
      await untilAsked(stand)
      await client.close()
      await within(stand.stepMs, 'the signal of the gateway, after its device has left', left.promise)
      stand.gateway.before = () => undefined
      await stand.honest('after it')
    },
    carrying('hang-up'),
  ),
]

/** Resolves once the gateway was asked something. */
export async function untilAsked({ gateway, stepMs }: ServeStand): Promise<void> {
  const { before } = gateway
  if (gateway.calls.length > 0) return
  const asked = Promise.withResolvers<void>()
  gateway.before = (call) => {
    asked.resolve()
    return before(call)
  }
  await within(stepMs, 'a call of the gateway', asked.promise)
}
