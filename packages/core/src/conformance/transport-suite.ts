import type { ByteStream } from '../content/byte-stream.ts'
import type { Authenticator } from '../plugin/authenticator.ts'
import type { Device, DeviceState } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { CallOptions } from '../plugin/plugin.ts'
import type { Transport } from '../plugin/transport.ts'
import type { Report } from '../update/observation.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { closeRules, pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'
import { agentPortRules } from './transport/agent-port.ts'
import { authenticationRules } from './transport/authenticating.ts'
import { brokenWireRules } from './transport/broken-wire.ts'
import { connectRules } from './transport/connecting.ts'
import { drainRules } from './transport/draining.ts'
import { flashPortRules } from './transport/flash-port.ts'
import { hostileRules } from './transport/hostile-clients.ts'
import { imageRules } from './transport/images.ts'
import { endingRules, leavingRules } from './transport/leaving.ts'
import { powerRules } from './transport/powers.ts'
import { refusalRules } from './transport/refusing.ts'
import { settings } from './transport/serve-stand.ts'
import { serveRules } from './transport/serving.ts'

/**
 * What may happen to what travels on a wire, until it is mended. `deaf`: nothing that is sent reaches the device, though the line stands.
 * `mute`: the device hears and does, and its answers are lost. `slow`: everything comes late and one after the other. `duplicate`: every
 * message comes twice. `stale`: every message comes again behind the next one. `flip`: one bit of the next message is another, once each way.
 * `truncate`: the next message ends in its middle, once each way.
 */
export type WireFault = 'deaf' | 'mute' | 'slow' | 'duplicate' | 'stale' | 'flip' | 'truncate'

/** The line between a transport and one device. */
export interface Wire {
  /** What can happen on this line, beside being cut. Leave out what it cannot have, such as a flipped bit under TLS. */
  readonly faults: readonly WireFault[]
  /** Takes the line away, for those who use it now and for those who come, until it is mended. */
  cut(): Promise<void>
  spoil(fault: WireFault): Promise<void>
  /** As new; what was lost stays lost. */
  mend(): Promise<void>
}

/** A device at the other end of the wire. What it says here does not come through the plugin: it decides whether that is right. */
export interface WiredDevice {
  /** What `connect` is asked for. */
  readonly device: Device
  readonly wire: Wire
  /** How many connections the device has open, where it can see them. */
  connections?(): Promise<number>
  /** What the device shows for a challenge; given where the wire carries evidence. */
  evidence?(challenge: Uint8Array): Promise<Evidence>
  dispose?(): Promise<void>
}

/**
 * A device with an agent, which has kept what it runs and has no part of another image. What it has activated it keeps: at the latest when
 * `runs` has answered, so that the next image can come.
 */
export interface AgentDevice extends WiredDevice {
  /** Two images that it takes, both of several chunks, and neither the one that it runs. */
  readonly images: readonly [Uint8Array, Uint8Array]
  /** What it holds of the image that it is being sent: from the first byte up to the first gap. Empty once it was activated. */
  staged(): Promise<Uint8Array>
  /** The image that it runs, or will run at its next start. */
  runs(): Promise<Uint8Array | undefined>
  /** What `status` has to say. */
  state(): Promise<DeviceState>
}

/** A device whose flash lies open: at least 8 blocks, not all of it erased. */
export interface FlashDevice extends WiredDevice {
  /** What can be erased at once, bytes. */
  readonly blockBytes: number
  /** The whole flash, a copy. */
  content(): Promise<Uint8Array>
  /** How often it was reset. */
  resets(): Promise<number>
}

/** A device that may come in, known before the plugin is made, so that a broker can be told of it. */
export interface KnownDevice {
  readonly id: string
  /** What it proves itself with: a bearer token, or a broker's password. */
  readonly token: string
}

/** A device that wants to come in: rightly, with the wrong token, with another's, or with none. */
export type Caller = Pick<KnownDevice, 'id'> & Partial<KnownDevice>

/**
 * What a dialect carries. Of a check-in: `model`, `installed`, `attributes`, `evidence` (with the challenge in its answer). Of an answer:
 * `seq`, `digest`, `crc32`, `poll` (in whole seconds), `reasons`, `cancel`. Else: `reports`, `offset` (an image from a byte on), `hang-up` (the
 * server sees that a client has left). Version and size of an offer are carried by every dialect.
 */
export type Carried =
  | 'model'
  | 'installed'
  | 'attributes'
  | 'evidence'
  | 'seq'
  | 'digest'
  | 'crc32'
  | 'poll'
  | 'reasons'
  | 'cancel'
  | 'reports'
  | 'offset'
  | 'hang-up'

/** What a client was told, as far as its dialect carries it. */
export interface PullAnswer {
  readonly offer?: PullOffer
  readonly cancel?: number
  readonly challenge?: Uint8Array
  readonly pollAfterMs?: number
  readonly because?: readonly { readonly code: string }[]
}

export interface PullOffer {
  readonly version: string
  readonly size: number
  readonly seq?: number
  readonly digest?: string
  readonly crc32?: number
}

/** What a client says at check-in; members that its dialect does not carry stay away. */
export interface PullState extends Partial<Omit<DeviceState, 'id' | 'labels'>> {
  readonly evidence?: Evidence
}

/**
 * One device as the dialect knows it. Each call rejects with an `OtaError` whose fault is what the dialect says: `unavailable` for "later" and
 * where nobody answers, `rejected`, `invalid`, `unsupported` or `internal` for "no", `aborted` for its own caller.
 */
export interface PullClient {
  checkIn(said?: PullState, options?: CallOptions): Promise<PullAnswer>
  /** The bytes of what was offered. It reads no further than it is asked to, and leaves the line where its reader leaves. */
  image(offer: PullOffer, options?: CallOptions & { readonly offset?: number }): ByteStream
  /** Needed where the dialect carries `reports`. */
  report?(seq: number, report: Report, options?: CallOptions): Promise<void>
  /** Everything that the server has sent to it so far, as on the wire. */
  heard(): Uint8Array
  /** Leaves, at once. */
  close(): Promise<void>
}

/** A check-in as the bytes that it is on the wire. */
export interface RawCheckIn {
  readonly bytes: Uint8Array
  /**
   * Sends bytes in its place, over a line of its own, in pieces where asked: one each turn of the event loop. Resolves once the server has
   * answered or hung up, or, where it does neither to such bytes, a moment later.
   */
  send(bytes: Uint8Array, options?: { readonly pieceBytes?: number }): Promise<void>
  /** Sends the bytes and stays there, saying nothing more; returns how to leave. */
  hold(bytes: Uint8Array): Promise<() => Promise<void>>
}

/** What a stranger does to a server. */
export interface Attack {
  readonly name: string
  /** Ends when it has had its answer, or was thrown out. */
  run(address: string, device: KnownDevice): Promise<void>
  /** Whether its words are well-formed, so that they may reach the gateway as this device's. */
  readonly reaches?: boolean
}

/** How devices that pull look to one server. */
export interface PullBench {
  readonly carries: readonly Carried[]
  /** The reports that the dialect can say; one of each state where absent. */
  readonly reports?: readonly Report[]
  /** What `serve` gets instead of the suite's own authenticator, where the wire (a broker) says who is who. */
  readonly authenticators?: readonly Authenticator[]
  /** A client, not yet connected or connected: where its token opens nothing, its calls reject, or this does. */
  client(address: string, caller: Caller): Promise<PullClient>
  raw(address: string, device: KnownDevice): Promise<RawCheckIn>
  /** The tricks that only this wire knows, at least one: what is too large, too many, against the grammar, or smuggled. */
  readonly attacks: readonly Attack[]
}

/** What the suite wants of a transport that it asks for. */
export interface TransportSettings {
  /** Who may come in, where the plugin serves. */
  readonly devices: readonly KnownDevice[]
}

/**
 * A transport that reaches nothing but what its own instance offers. Its own times (an answer that does not come, a drain that does not end)
 * are to be set so that they end within a fifth of `timeoutMs`.
 */
export interface TransportInstance extends Instance<Transport> {
  /** A new device that this plugin reaches by an `agent` port; needed where that is what `connect` yields. */
  agent?(): Promise<AgentDevice>
  /** A new device that this plugin reaches by a `flash` port; needed where that is what `connect` yields. */
  flash?(): Promise<FlashDevice>
  /** Needed where the plugin has `serve`. */
  readonly pull?: PullBench
  /** What must never be seen in an error, such as a broker's password. Tokens of devices are looked for in any case. */
  readonly secrets?: readonly string[]
}

export type TransportSuiteOptions = SuiteOptions<TransportInstance, TransportSettings>
export type TransportRule = Rule<TransportInstance, TransportSettings>

/** Every demand on a `Transport`. */
export const transportRules: Suite<TransportInstance, TransportSettings> = Object.freeze({
  kind: 'transport',
  rules: Object.freeze([
    ...pluginRules<TransportInstance, TransportSettings>('transport', { required: [], optional: ['connect', 'serve'] }),
    ...powerRules,
    ...closeRules<TransportInstance, TransportSettings>('transport'),
    ...connectRules,
    ...leavingRules,
    ...endingRules,
    ...agentPortRules,
    ...flashPortRules,
    ...brokenWireRules,
    ...serveRules,
    ...imageRules,
    ...authenticationRules,
    ...refusalRules,
    ...hostileRules,
    ...drainRules,
  ]),
  settings,
  exchange: (instance: TransportInstance, exchange: <P extends object>(plugin: P) => P): TransportInstance => ({
    ...instance,
    plugin: exchange(instance.plugin),
  }),
})

/**
 * Defines a test for every rule that a transport must keep.
 * @example
 * ```ts
 * import { describe, it } from 'node:test'
 * import { coreError } from '@reflash/core'
 * import { type AgentDevice, transportSuite } from '@reflash/core/conformance'
 * import { type MemoryDevice, memoryDevice, memoryTransport } from '@reflash/core/testing'
 *
 * const image = (version: string) => new TextEncoder().encode(`board board\n${version}\n${'x'.repeat(80)}`)
 *
 * // A device behind a line that can be cut; nothing else can happen to it.
 * function onTheBench(devices: MemoryDevice[]): AgentDevice {
 *   const unit = memoryDevice({ id: `board-${devices.length + 1}`, runs: image('1.0.0') })
 *   let isCut = false
 *   const over = async <T>(word: () => Promise<T>): Promise<T> => {
 *     if (isCut) throw coreError('DEVICE_SILENT', `device ${unit.id}: expected an answer, found the line cut`)
 *     return word()
 *   }
 *   const port: MemoryDevice['port'] = () => {
 *     const whole = unit.port()
 *     return {
 *       ...whole,
 *       begin: (asked, context) => over(() => whole.begin(asked, context)),
 *       write: (offset, bytes, context) => over(() => whole.write(offset, bytes, context)),
 *       activate: (context) => over(() => whole.activate(context)),
 *       status: (context) => over(() => whole.status(context)),
 *     }
 *   }
 *   devices.push({ ...unit, port })
 *   return {
 *     device: { id: unit.id },
 *     wire: {
 *       faults: [],
 *       cut: async () => void (isCut = true),
 *       spoil: async () => {},
 *       mend: async () => void (isCut = false),
 *     },
 *     images: [image('1.1.0'), image('1.2.0')],
 *     staged: async () => unit.staged,
 *     async runs() {
 *       // Its self-test passes at the second look.
 *       const context = { signal: new AbortController().signal, now: new Date(0) }
 *       for (let look = 0; look < 2; look += 1) await unit.port().status(context)
 *       return unit.running
 *     },
 *     state: async () => unit.state(),
 *   }
 * }
 *
 * transportSuite({ describe, it }, {
 *   make: async () => {
 *     const devices: MemoryDevice[] = []
 *     return { plugin: memoryTransport(devices), agent: async () => onTheBench(devices), dispose: async () => {} }
 *   },
 * })
 * ```
 */
export function transportSuite(runner: Runner, options: TransportSuiteOptions): void {
  defineSuite(transportRules, runner, options)
}
