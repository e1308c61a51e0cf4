import { type Composition, createRollout, type RunningGateway, type Serving } from '@reflash/core'
import { httpTransport, managementDialect } from '@reflash/transport-http'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import type { ServerLog } from './server-log.ts'
import { readTokensFile } from './tokens-file.ts'

export interface RolloutFlags {
  readonly rollout?: boolean
  readonly management?: string
  readonly managementTokens?: string
}

/** @throws `USAGE` */
export function checkRolloutFlags({ rollout, management, managementTokens }: RolloutFlags): void {
  if ((management === undefined) !== (managementTokens === undefined))
    throw fail('USAGE', 'expected --management and --management-tokens together, found only one of them')
  if (management !== undefined && rollout !== true)
    throw fail('USAGE', '--management: expected --rollout beside it: without, there is nothing to manage')
}

/** Drives deployments and listens to operators, until it is disposed. */
export async function serveRollout(
  flags: RolloutFlags,
  gateway: RunningGateway,
  log: ServerLog,
  { signal }: Cli,
): Promise<Serving | undefined> {
  const { composition } = gateway
  if (composition.options.fleet === undefined) return undefined
  const rollout = createRollout(composition)
  // Listened to first: where that fails, nothing is left running.
  const serving = flags.management === undefined ? undefined : await managementOf(flags, composition, rollout, gateway, log, signal)
  const ended = new AbortController()
  const ticking = rollout
    .ticker()
    .run(ended.signal)
    .catch((error: unknown) => log.record('error', 'deployments are not driven any more', { cause: String(error) }))
  return {
    addresses: serving?.addresses ?? [],
    async [Symbol.asyncDispose]() {
      await serving?.[Symbol.asyncDispose]()
      ended.abort()
      await ticking
    },
  }
}

async function managementOf(
  { management = '', managementTokens = '' }: RolloutFlags,
  { authenticators }: Composition,
  rollout: ReturnType<typeof createRollout>,
  gateway: RunningGateway,
  log: ServerLog,
  signal: AbortSignal,
): Promise<Serving> {
  const { tokens, openToOthers } = await readTokensFile(managementTokens)
  if (openToOthers) log.record('warn', `${managementTokens} can be read by every user of this machine; chmod 600 keeps the tokens secret`)
  const dialect = managementDialect({ rollout, tokens })
  return httpTransport({ listen: management, dialects: [dialect], onRequest: log.request }).serve({ gateway, authenticators }, { signal })
}
