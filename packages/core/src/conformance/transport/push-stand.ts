import { ok } from 'node:assert/strict'
import type { CallOptions } from '../../plugin/plugin.ts'
import type { Connection } from '../../plugin/ports.ts'
import type { Transport } from '../../plugin/transport.ts'
import { type Need, rulesOf, type Scene } from '../suite.ts'
import type { TransportInstance, TransportRule, TransportSettings, WiredDevice, WireFault } from '../transport-suite.ts'
import { within } from '../within.ts'
import { type AnyPort, type PortKind, type Words, wordsOf } from './words.ts'

export type AnyConnection = Omit<Connection<PortKind>, 'port'> & { readonly port: AnyPort }

/** A device behind a wire, and the way to it. */
export interface PushStand {
  readonly words: Words
  readonly device: WiredDevice
  readonly instance: TransportInstance
  /** Connects; whatever is still open is disposed with the rule. */
  connect(options?: CallOptions, to?: WiredDevice['device']): Promise<AnyConnection>
  /** One more device that the same plugin reaches. */
  another(): Promise<PushStand>
}

type Run = (stand: PushStand, scene: Scene<TransportInstance, TransportSettings>) => Promise<void>

/** Makes rules for a transport that connects: by one kind of port, or, without a name, by whichever it uses. */
export function pushRules(kind?: PortKind) {
  const rule = rulesOf<TransportInstance, TransportSettings>(`transport/${kind ?? 'connect'}`)
  const connects = ({ plugin }: TransportInstance): boolean =>
    plugin.connect !== undefined && (kind === undefined ? plugin.uses !== undefined && plugin.uses in wordsOf : plugin.uses === kind)
  const port = kind === undefined ? 'a port that the suite knows' : `a port "${kind}"`
  return (name: string, title: string, run: Run, needs?: Need<TransportInstance>): TransportRule =>
    rule(
      name,
      `${kind ?? 'connect'}: ${title}`,
      async (instance, scene) => {
        const stands = standsOf(instance, scene.stepMs)
        try {
          await run(await stands.open(), scene)
        } finally {
          await stands.close()
        }
      },
      {
        what: needs === undefined ? `connect() to ${port}` : `connect() to ${port} and ${needs.what}`,
        missing: `the plugin does not connect to ${port}${needs === undefined ? '' : `, or lacks ${needs.what}`}`,
        has: (given, options) => connects(given) && (needs === undefined || needs.has(given, options)),
      },
    )
}

/** More stands, on the same plugin or on another one. */
export function standsOf(instance: TransportInstance, stepMs: number) {
  const words = wordsOf[instance.plugin.uses as PortKind] as Words
  const devices: WiredDevice[] = []
  const connections: AnyConnection[] = []
  const open = async (): Promise<PushStand> => {
    const make = words.device(instance)
    ok(make !== undefined, `the plugin connects to a port "${words.kind}": expected make() to give ${words.kind}(), found none`)
    const device = await make()
    devices.push(device)
    return {
      words,
      device,
      instance,
      another: open,
      async connect(options, to = device.device) {
        const { connect } = instance.plugin as Transport & Required<Pick<Transport, 'connect'>>
        const connection = (await within(stepMs, `connect(${to.id})`, connect(to, options))) as AnyConnection
        connections.push(connection)
        return connection
      },
    }
  }
  return {
    open,
    async close() {
      for (const device of devices) await device.wire.mend()
      for (const connection of connections.reverse()) {
        // Most were disposed by their rule; whether that can be done twice is asked by one rule alone.
        const end = Promise.resolve(connection[Symbol.asyncDispose]()).catch(() => undefined)
        await within(stepMs, 'the end of a connection', end)
      }
      for (const device of devices) await device.dispose?.()
    },
  }
}

/** Runs a rule only where the wire can have a fault. */
export function withFault(fault: WireFault, run: Run): Run {
  return async (stand, scene) => {
    if (stand.device.wire.faults.includes(fault)) await run(stand, scene)
    else scene.skip(`the wire that make() gives cannot be "${fault}"`)
  }
}
