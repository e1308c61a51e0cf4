import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ReflashOptions } from '@reflash/core'
import type { HttpTransportOptions } from '@reflash/transport-http'
import type { MqttTransportOptions } from '@reflash/transport-mqtt'
import { fail } from '../cli-errors.ts'
import { exists, fileNotFound } from '../files.ts'

/** How devices are served over MQTT: through the broker at `url`; or, without one, by a broker in this process, with `tls.cert` and `tls.key` of its own. */
export interface MqttServerOptions extends Partial<Omit<MqttTransportOptions, 'authenticators'>> {
  /** Where the broker in this process listens; `127.0.0.1:1883` where absent. */
  readonly listen?: string
}

/** What `reflash.config.ts` may say: any part of a composition, and how HTTP and MQTT are served. Options on the command line win. */
export interface ServerConfig extends Partial<ReflashOptions> {
  /** False: devices have MQTT alone. */
  readonly http?: HttpTransportOptions | false
  readonly mqtt?: MqttServerOptions
}

/**
 * Gives a configuration file its types.
 * @example
 * // reflash.config.ts
 * import { defineConfig } from '@reflash/cli'
 * export default defineConfig({ repository: 'registry.example.com/firmware/{model}', product: 'lamp', pollMs: 300_000 })
 */
export function defineConfig(config: ServerConfig): ServerConfig {
  return config
}

/**
 * Loads a configuration file: a module whose default export is a configuration.
 * @throws `FILE_NOT_FOUND`, `CONFIG_UNREADABLE`
 */
export async function loadConfig(path: string): Promise<ServerConfig> {
  if (!(await exists(path))) throw fileNotFound(path, 'a configuration')
  let module: { readonly default?: unknown }
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as typeof module
  } catch (error) {
    throw fail('CONFIG_UNREADABLE', `${path}: ${found(error)}`, { cause: error })
  }
  return parseConfig(module.default, path)
}

// A SyntaxError quotes the file, and a file of tokens may have been named in its place.
function found(error: unknown): string {
  if (error instanceof SyntaxError) return 'expected a module, found a syntax error; REFLASH_DEBUG=1 shows where'
  return error instanceof Error ? error.message : String(error)
}

/** Holds that a default export is a configuration. @throws `CONFIG_UNREADABLE` */
export function parseConfig(config: unknown, path: string): ServerConfig {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw fail(
      'CONFIG_UNREADABLE',
      `${path}: expected a default export that is an object, found ${config === undefined ? 'none' : typeof config}`,
    )
  }
  return checkKeys(config as Record<string, unknown>, path)
}

type Kind = 'string' | 'number' | 'object' | 'function' | 'object or false'

const kinds: Readonly<Record<keyof ServerConfig, Kind>> = {
  repository: 'string',
  product: 'string',
  registry: 'object',
  verifiers: 'object',
  versions: 'object',
  targets: 'object',
  attestation: 'object',
  authenticators: 'object',
  transports: 'object',
  journal: 'object',
  cache: 'object',
  fleet: 'object',
  policy: 'object',
  times: 'object',
  pollMs: 'number',
  imageLimitBytes: 'number',
  clock: 'function',
  random: 'function',
  onEvent: 'function',
  http: 'object or false',
  mqtt: 'object',
}

/** What only a broker elsewhere has. */
const ofBrokers = ['version', 'username', 'password', 'clientId', 'share'] as const

// A misspelt key would silently leave a default in force.
function checkKeys(config: Readonly<Record<string, unknown>>, path: string): ServerConfig {
  for (const [key, value] of Object.entries(config)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key as keyof ServerConfig] : undefined
    if (kind === undefined)
      throw fail(
        'CONFIG_UNREADABLE',
        `${path}: expected one of ${Object.keys(kinds).join(', ')}; found ${JSON.stringify(key.slice(0, 100))}`,
      )
    const isFalse = kind === 'object or false' && value === false
    if (value !== undefined && !isFalse && typeof value !== (kind === 'object or false' ? 'object' : kind))
      throw fail('CONFIG_UNREADABLE', `${path}: ${key}: expected a value of type ${kind}, found ${typeof value}`)
  }
  const { mqtt } = config as ServerConfig
  if (mqtt !== undefined) checkMqtt(mqtt, path)
  return config as ServerConfig
}

function checkMqtt(mqtt: MqttServerOptions | null, path: string): void {
  if (mqtt === null) throw fail('CONFIG_UNREADABLE', `${path}: mqtt: expected a value of type object, found null`)
  if (mqtt.url !== undefined && mqtt.listen !== undefined)
    throw fail(
      'CONFIG_UNREADABLE',
      `${path}: mqtt: expected either url, of a broker elsewhere, or listen, of one in this process; found both`,
    )
  if (mqtt.url === undefined && mqtt.tls !== undefined && (mqtt.tls?.cert === undefined || mqtt.tls.key === undefined))
    throw fail('CONFIG_UNREADABLE', `${path}: mqtt.tls: expected cert and key of the broker in this process, found less`)
  const foreign = ofBrokers.find((name) => mqtt.url === undefined && mqtt[name] !== undefined)
  if (foreign !== undefined)
    throw fail('CONFIG_UNREADABLE', `${path}: mqtt.${foreign}: expected mqtt.url, of a broker elsewhere, beside it; found none`)
}
