import type { AgentPort, Connection, Device, FlashPort, Gateway, ServeContext, Serving, Transport } from '@reflash/core'
import { transportRules } from '@reflash/core/conformance'
import type { LineHabits } from '../support/transport/framed-line.ts'
import type { ServiceHabits } from '../support/transport/packet-service.ts'
import { agentTransport, flashTransport, servingTransport } from '../support/transport/right-transports.ts'
import { type Mutant, mutantsOf } from './mutant.ts'

const byAgent = mutantsOf(transportRules, agentTransport())
const byFlash = mutantsOf(transportRules, flashTransport())
const byService = mutantsOf(transportRules, servingTransport())

export const { common } = byAgent

/** The transport with a port `agent` and other members. */
export const pushMutant = (rule: string, wrong: string, change: (right: Pushing) => Partial<Transport>, timeoutMs?: number): Mutant =>
  byAgent.plugin(rule, wrong, (right) => change(right as Pushing), timeoutMs)

/** The transport that serves, with other members. */
export const pullMutant = (rule: string, wrong: string, change: (right: Pulling) => Partial<Transport>, timeoutMs?: number): Mutant =>
  byService.plugin(rule, wrong, (right) => change(right as Pulling), timeoutMs)

export type Pushing = Transport & Required<Pick<Transport, 'connect' | 'close'>>
export type Pulling = Transport & Required<Pick<Transport, 'serve' | 'close'>>
type Agent = Connection<'agent'>
type Flash = Connection<'flash'>

const around =
  <C extends Agent | Flash>(change: (right: C, device: Device) => Partial<C>) =>
  ({ connect }: Pushing): Partial<Transport> => ({
    connect: async (device, options) => {
      const right = (await connect(device, options)) as C
      return Object.freeze({ ...right, ...change(right, device) }) as never
    },
  })

/** The transport whose connections are changed. */
export const connectionMutant = (rule: string, wrong: string, change: (right: Agent, device: Device) => Partial<Agent>): Mutant =>
  pushMutant(rule, wrong, around<Agent>(change))

/** The transport whose port `agent` is changed. */
export const agentMutant = (rule: string, wrong: string, change: (right: AgentPort) => Partial<AgentPort>, timeoutMs?: number): Mutant =>
  pushMutant(
    rule,
    wrong,
    around<Agent>(({ port }) => ({ port: { ...port, ...change(port) } })),
    timeoutMs,
  )

/** The transport whose port `flash` is changed. */
export const flashMutant = (rule: string, wrong: string, change: (right: FlashPort) => Partial<FlashPort>, timeoutMs?: number): Mutant =>
  byFlash.plugin(rule, wrong, (right) => around<Flash>(({ port }) => ({ port: { ...port, ...change(port) } }))(right as Pushing), timeoutMs)

/** The transport whose line does one thing otherwise. */
export const lineMutant = (
  rule: string,
  wrong: string,
  line: Partial<LineHabits>,
  over: 'agent' | 'flash' = 'agent',
  timeoutMs?: number,
): Mutant => {
  const limit = timeoutMs === undefined ? {} : { timeoutMs }
  return over === 'agent'
    ? byAgent.options(rule, wrong, (right) => ({ ...right, ...agentTransport(line), ...limit }))
    : byFlash.options(rule, wrong, (right) => ({ ...right, ...flashTransport(line), ...limit }))
}

/** The service that does one thing otherwise. */
export const serviceMutant = (rule: string, wrong: string, service: Partial<ServiceHabits>, timeoutMs?: number): Mutant =>
  byService.options(rule, wrong, () => ({ ...servingTransport(service), ...(timeoutMs === undefined ? {} : { timeoutMs }) }))

/** The transport that says to the gateway, or makes of what it says, something else. */
export const gatewayMutant = (
  rule: string,
  wrong: string,
  change: (right: Gateway) => Partial<Gateway>,
  { timeoutMs, reports = true }: { readonly timeoutMs?: number; readonly reports?: boolean } = {},
): Mutant => {
  const { plugin } = reports ? byService : mutantsOf(transportRules, servingTransport({ reports }))
  const changed = (right: Transport): Partial<Transport> => ({
    serve: (context: ServeContext, options) =>
      (right as Pulling).serve({ ...context, gateway: { ...context.gateway, ...change(context.gateway) } }, options),
  })
  return plugin(rule, wrong, changed, timeoutMs)
}

/** The transport whose servers are changed. */
export const servingMutant = (rule: string, wrong: string, change: (right: Serving) => Partial<Serving>): Mutant =>
  pullMutant(rule, wrong, ({ serve }) => ({
    serve: async (context, options) => {
      const right = await serve(context, options)
      return Object.freeze({ ...right, ...change(right) })
    },
  }))
