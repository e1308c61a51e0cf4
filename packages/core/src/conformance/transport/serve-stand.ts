import { ok, strictEqual } from 'node:assert/strict'
import type { Authenticator } from '../../plugin/authenticator.ts'
import type { CallOptions } from '../../plugin/plugin.ts'
import type { ServeContext, Serving, Transport } from '../../plugin/transport.ts'
import { expectBytes, gather, sampleBytes } from '../content.ts'
import { type Need, rulesOf, type Scene } from '../suite.ts'
import type {
  Caller,
  Carried,
  KnownDevice,
  PullBench,
  PullClient,
  TransportInstance,
  TransportRule,
  TransportSettings,
} from '../transport-suite.ts'
import { within } from '../within.ts'
import { type GatewayCall, type SuiteGateway, suiteGateway } from './suite-gateway.ts'

/** A server with the suite's gateway behind it. */
export interface ServeStand {
  readonly gateway: SuiteGateway
  readonly serving: Serving
  readonly address: string
  readonly pull: PullBench
  readonly instance: TransportInstance
  readonly devices: readonly [KnownDevice, KnownDevice, ...KnownDevice[]]
  readonly stepMs: number
  carries(what: Carried): boolean
  /** A client, the first device's where nobody is named; left with the rule. */
  client(caller?: Caller, address?: string): Promise<PullClient>
  /** Makes the plugin serve once more. */
  serve(context?: Partial<ServeContext>, options?: CallOptions): Promise<Serving>
  /** The calls of the gateway since the last look, health aside. */
  taken(): readonly GatewayCall[]
  /** Holds that a device in good order is served: it checks in and gets its image. */
  honest(what: string, device?: KnownDevice): Promise<void>
}

type Run = (stand: ServeStand, scene: Scene<TransportInstance, TransportSettings>) => Promise<void>

const rule = rulesOf<TransportInstance, TransportSettings>('transport/serve')

/** The image that is offered where a rule says nothing else: 3 blocks and a bit. */
export const suiteImage = sampleBytes(3 * 4096 + 5, 21)

/** Says who has which token, whatever id the wire claims. */
export function tokenOwners(devices: readonly KnownDevice[]): Authenticator {
  return Object.freeze<Authenticator>({
    kind: 'authenticator',
    name: 'owners of tokens',
    spec: 0,
    authenticate({ token }) {
      const owner = devices.find((device) => device.token === token)
      return owner === undefined ? undefined : { deviceId: owner.id, by: 'token' }
    },
  })
}

/** Makes one rule for a transport that serves. Each gets a server, and a gateway of its own. */
export function serveRule(name: string, title: string, run: Run, needs?: Need<TransportInstance>): TransportRule {
  return rule(
    name,
    `serve: ${title}`,
    async (instance, scene) => {
      const opened = await openStand(instance, scene)
      try {
        await run(opened.stand, scene)
      } finally {
        await opened.close()
      }
    },
    {
      what: needs === undefined ? 'serve()' : `serve() and ${needs.what}`,
      missing: needs === undefined ? 'the plugin has no serve()' : `the plugin has no serve(), or ${needs.missing ?? `no ${needs.what}`}`,
      has: (given, options) => given.plugin.serve !== undefined && (needs === undefined || needs.has(given, options)),
    },
  )
}

/** For rules about what not every dialect carries. */
export function carrying(...what: readonly Carried[]): Need<TransportInstance> {
  return {
    what: what.map((one) => `"${one}"`).join(' and '),
    missing: `its dialect does not carry ${what.map((one) => `"${one}"`).join(' and ')}`,
    has: ({ pull }) => what.every((one) => pull?.carries.includes(one)),
  }
}

export const ownAuthenticator: Need<TransportInstance> = {
  what: "the suite's authenticator",
  missing: 'its wire says by itself who is who',
  has: ({ pull }) => pull?.authenticators === undefined,
}

/** One server, and how to end it; `begun` is what `serve` gets beside its context. */
export async function openStand(
  instance: TransportInstance,
  { stepMs }: Pick<Scene<TransportInstance, TransportSettings>, 'stepMs'>,
  begun?: CallOptions,
) {
  const { pull } = instance
  ok(pull !== undefined, 'the plugin has serve(): expected make() to give pull, found none')
  const { devices } = settings()
  const gateway = suiteGateway({ bytes: suiteImage })
  const servings: Serving[] = []
  const clients: PullClient[] = []
  const authenticators = pull.authenticators ?? [tokenOwners(devices)]
  const serve = async (context: Partial<ServeContext> = {}, callOptions?: CallOptions): Promise<Serving> => {
    const { serve: begin } = instance.plugin as Transport & Required<Pick<Transport, 'serve'>>
    const serving = await within(stepMs, 'serve()', begin({ gateway, authenticators, ...context }, callOptions))
    servings.push(serving)
    return serving
  }
  const serving = await serve({}, begun)
  const [address] = serving.addresses
  ok(address !== undefined, 'addresses: expected at least one, found none')
  let seen = 0
  const client = async (caller: Caller = devices[0], at = address): Promise<PullClient> => {
    const made = await within(stepMs, 'client()', pull.client(at, caller))
    clients.push(made)
    return made
  }
  const stand: ServeStand = {
    gateway,
    serving,
    address,
    pull,
    instance,
    devices,
    stepMs,
    serve,
    client,
    carries: (what) => pull.carries.includes(what),
    taken() {
      const calls = gateway.calls.slice(seen)
      seen = gateway.calls.length
      return calls
    },
    async honest(what, device = devices[0]) {
      const one = await client(device)
      const { offer } = await within(stepMs, `${what}: a check-in`, one.checkIn())
      ok(offer !== undefined, `${what}: expected an offer, found none`)
      const { bytes } = gateway.image({ deviceId: device.id, by: 'token' })
      strictEqual(offer.size, bytes.length, `${what}: expected an offer of ${bytes.length} bytes, found ${offer.size}`)
      expectBytes(`${what}: the image`, await within(stepMs, `${what}: the image`, gather('the image', one.image(offer))), bytes)
      await one.close()
    },
  }
  return {
    stand,
    async close() {
      for (const one of clients) await within(stepMs, 'the end of a client', one.close())
      for (const one of servings) {
        // Some were disposed by their rule; whether that can be done twice is asked by one rule alone.
        const end = Promise.resolve(one[Symbol.asyncDispose]()).catch(() => undefined)
        await within(stepMs, 'the end of a server', end)
      }
    },
  }
}

/** Who may come in where the suite makes an instance. */
export function settings(): { readonly devices: readonly [KnownDevice, KnownDevice, ...KnownDevice[]] } {
  const known = (index: number): KnownDevice => ({ id: `device-${index}`, token: `token-of-${index}-4f8a1c` })
  return { devices: [known(1), known(2), ...[3, 4, 5, 6, 7, 8].map(known)] }
}
