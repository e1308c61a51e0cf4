import { AssertionError } from 'node:assert/strict'
import { type Fault, OtaError } from '../../errors.ts'
import { refused } from '../refusal.ts'
import type { TransportRule } from '../transport-suite.ts'
import { within } from '../within.ts'
import { asks } from './authenticating.ts'
import { type ServeStand, serveRule } from './serve-stand.ts'

/** In no table of ours, as that of somebody else's plugin. */
const foreignCode = 'SUITE_FAILURE'

/** What of an error a device must never hear: machines and credentials that its message, its details and its causes name. */
const secret = 'hunter2-db.internal'

/** What a device may take an error for. Who takes "no" for "later" asks for ever, and who takes "later" for "no" never again. */
const understood: Readonly<Record<Fault, readonly Fault[]>> = {
  rejected: ['rejected', 'invalid', 'unsupported', 'internal'],
  invalid: ['rejected', 'invalid', 'unsupported', 'internal'],
  unsupported: ['rejected', 'invalid', 'unsupported', 'internal'],
  unavailable: ['unavailable'],
  aborted: ['unavailable', 'aborted', 'internal'],
  internal: ['internal', 'unavailable'],
}

function failures(): Readonly<Record<string, { readonly error: unknown; readonly faults: readonly Fault[] }>> {
  const cause = new Error(`connect to postgres://reflash:${secret}:5432 failed`)
  const made = Object.entries(understood).map(([fault, faults]) => {
    const hides = fault === 'unavailable' || fault === 'internal'
    const message = hides ? `no answer of ${secret}` : 'the suite says no'
    return [
      `"${fault}"`,
      { error: new OtaError(foreignCode, fault as Fault, message, { cause, details: { host: secret } }), faults },
    ] as const
  })
  return {
    ...Object.fromEntries(made),
    'that is no OtaError': { error: Object.assign(new Error(`no answer of ${secret}`), { cause }), faults: ['internal', 'unavailable'] },
    'that is a text': { error: `no answer of ${secret}`, faults: ['internal', 'unavailable'] },
  }
}

/** Holds that nothing of what a client was sent is secret. */
function expectHeard(what: string, heard: Uint8Array, secrets: readonly string[]): void {
  const text = new TextDecoder('latin1').decode(heard)
  if (secrets.some((one) => text.includes(one)))
    throw new AssertionError({ message: `${what}: expected an answer without secrets, found one of them on the wire` })
}

/** A gateway that says no. */
export const refusalRules: readonly TransportRule[] = [
  serveRule('faults', 'makes of every fault of the gateway an answer that a device understands, in good time', async (stand) => {
    for (const [name, { error, faults }] of Object.entries(failures())) {
      stand.gateway.before = () => Promise.reject(error)
      for (const [what, ask] of Object.entries(asks(stand))) {
        const shown = `${what} where the gateway fails with an error ${name}`
        await within(
          stand.stepMs,
          shown,
          refused(shown, { fault: faults }, async () => ask(await stand.client())),
        )
      }
    }
    stand.gateway.before = () => undefined
    await stand.honest('after errors of the gateway')
  }),
  serveRule('faults-secret', 'tells nobody what stands in an error for its own people only', async (stand) => {
    for (const [name, { error }] of Object.entries(failures())) {
      stand.gateway.before = () => Promise.reject(error)
      for (const [what, ask] of Object.entries(asks(stand))) {
        const client = await stand.client()
        const shown = `${what} where the gateway fails with an error ${name}`
        await within(
          stand.stepMs,
          shown,
          ask(client).catch(() => undefined),
        )
        expectHeard(shown, client.heard(), [secret, '.ts:', stand.devices[0].token])
      }
    }
  }),
  serveRule('sync-throw', 'answers also where the gateway throws before it has made a promise', async (stand) => {
    const { gateway } = stand
    const serving = await servedBy(stand, {
      ...gateway,
      checkIn: () => {
        throw new TypeError('the suite breaks it')
      },
    })
    const what = 'a check-in where the gateway throws at once'
    const client = await stand.client(stand.devices[0], serving)
    await within(
      stand.stepMs,
      what,
      refused(what, { fault: ['internal', 'unavailable'] }, () => client.checkIn()),
    )
  }),
]

async function servedBy(stand: ServeStand, gateway: ServeStand['gateway']): Promise<string> {
  await stand.serving[Symbol.asyncDispose]()
  return (await stand.serve({ gateway })).addresses[0] as string
}
