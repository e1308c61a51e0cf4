import { join } from 'node:path'
import {
  type Authenticator,
  anonymousDevices,
  diskCache,
  type ReflashOptions,
  type Registry,
  type SignatureVerifier,
  tokenDevices,
  trustTagVersions,
  unattestedDevices,
  unsignedArtifacts,
} from '@reflash/core'
import { cosignVerifier } from '@reflash/registry-oci'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { gatewayToken } from '@reflash/transport-http'
import { brokerDevices } from '@reflash/transport-mqtt'
import { fail } from '../cli-errors.ts'
import { isOpenToOthers, readSmallFile } from '../files.ts'
import type { ServerConfig } from './server-config.ts'
import { storeOption } from './store-option.ts'
import { type SwupdateFlags, swupdateProblem, swupdateTargetOf } from './swupdate-options.ts'
import { readTokensFile } from './tokens-file.ts'

/** The options of `reflash serve` that say what it is made of. */
export interface ServerFlags extends SwupdateFlags {
  readonly repository?: string
  readonly key?: readonly string[]
  readonly allowUnsigned?: boolean
  readonly tokens?: string
  readonly gatewayToken?: string
  readonly allowAnonymous?: boolean
  readonly product?: string
  readonly trustTagVersions?: boolean
  readonly channel?: string
  readonly pollMs?: number
  readonly state: string
  readonly store?: string
  readonly rollout?: boolean
}

/** Bytes of a public key: one of RSA has under 1 KiB. */
const keyLimitBytes = 65_536
/** Bytes; a token has at most 1024 characters. */
const tokenFileLimitBytes = 4096

/**
 * Puts a composition together from options and configuration; what is said on the command line wins. Where it believes topics, a broker vouches
 * for who a device is over MQTT; over HTTP that opens nothing.
 * @throws `USAGE` naming everything that is missing
 */
export async function serverOptions(
  flags: ServerFlags,
  config: ServerConfig,
  registry: () => Promise<Registry>,
  warn: (line: string) => void,
  believesTopics = false,
): Promise<ReflashOptions> {
  checkPairs(flags, config)
  const { http: _, mqtt: __, ...given } = config
  const swupdate = await swupdateTargetOf(flags)
  const store = storeOption(flags.store, flags.state)
  return {
    ...given,
    repository: flags.repository ?? (config.repository as string),
    registry: config.registry ?? (await registry()),
    verifiers: (await verifiersOf(flags)) ?? config.verifiers ?? [],
    authenticators: withTopics((await authenticatorsOf(flags, warn)) ?? config.authenticators ?? [], believesTopics),
    targets: swupdate === undefined ? (config.targets ?? [esp32Target()]) : [swupdate],
    attestation: config.attestation ?? [unattestedDevices()],
    journal: config.journal ?? sqlStore(store),
    ...(flags.rollout === true && config.fleet === undefined ? { fleet: sqlFleet(store) } : {}),
    cache: config.cache ?? diskCache({ directory: join(flags.state, 'cache') }),
    ...(flags.trustTagVersions === true ? { versions: trustTagVersions() } : {}),
    ...(flags.product === undefined ? {} : { product: flags.product }),
    ...(flags.pollMs === undefined ? {} : { pollMs: flags.pollMs }),
    ...(flags.channel === undefined ? {} : { policy: { ...config.policy, channel: flags.channel } }),
  }
}

function withTopics(authenticators: readonly Authenticator[], believesTopics: boolean): readonly Authenticator[] {
  const vouched = brokerDevices()
  return believesTopics && !authenticators.some(({ name }) => name === vouched.name) ? [...authenticators, vouched] : authenticators
}

function checkPairs(flags: ServerFlags, config: ServerConfig): void {
  const { repository, key, allowUnsigned, tokens, gatewayToken: gateway, allowAnonymous } = flags
  const missing: string[] = []
  if (repository === undefined && config.repository === undefined)
    missing.push("--repository '<host>/<repository>' (may hold {device} and {model})")
  if (key === undefined && allowUnsigned !== true && config.verifiers === undefined) {
    missing.push('either --key <cosign.pub>, which signs the releases, or --allow-unsigned')
  }
  const knows = tokens !== undefined || gateway !== undefined
  if (!knows && allowAnonymous !== true && config.authenticators === undefined) {
    missing.push('either --tokens <file> with a token for each device, or --allow-anonymous')
  }
  if (missing.length > 0) throw fail('USAGE', `reflash serve needs ${missing.join('; and ')}`)
  if (key !== undefined && allowUnsigned === true) throw fail('USAGE', 'expected either --key or --allow-unsigned, found both')
  if (knows && allowAnonymous === true)
    throw fail('USAGE', `expected either ${tokens === undefined ? '--gateway-token' : '--tokens'} or --allow-anonymous, found both`)
  const problem = swupdateProblem(flags)
  if (problem !== undefined) throw fail('USAGE', problem)
}

async function verifiersOf({ key, allowUnsigned }: ServerFlags): Promise<readonly SignatureVerifier[] | undefined> {
  if (allowUnsigned === true) return [unsignedArtifacts()]
  if (key === undefined) return undefined
  const keys = await Promise.all(
    key.map(async (name) => ({ name, pem: new TextDecoder().decode(await readSmallFile(name, 'a public key', keyLimitBytes)) })),
  )
  return [cosignVerifier({ keys })]
}

async function authenticatorsOf(
  { tokens, gatewayToken: gateway, allowAnonymous }: ServerFlags,
  warn: (line: string) => void,
): Promise<readonly Authenticator[] | undefined> {
  if (allowAnonymous === true) return [anonymousDevices()]
  if (tokens === undefined && gateway === undefined) return undefined
  const known: Authenticator[] = []
  if (tokens !== undefined) {
    const file = await readTokensFile(tokens)
    if (file.openToOthers) warn(openFile(tokens, 'tokens'))
    known.push(tokenDevices(file.tokens))
  }
  if (gateway !== undefined) {
    if (await isOpenToOthers(gateway)) warn(openFile(gateway, 'token'))
    known.push(gatewayToken(new TextDecoder().decode(await readSmallFile(gateway, 'a token', tokenFileLimitBytes)).trim()))
  }
  return known
}

function openFile(path: string, what: string): string {
  return `${path} can be read by every user of this machine; chmod 600 keeps the ${what} secret`
}
