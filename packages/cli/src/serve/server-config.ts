import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ReflashOptions } from '@reflash/core'
import type { HttpTransportOptions } from '@reflash/transport-http'
import { fail } from '../cli-errors.ts'
import { exists, fileNotFound } from '../files.ts'

/** What `reflash.config.ts` may say: any part of a composition, and how HTTP is served. Options on the command line win. */
export interface ServerConfig extends Partial<ReflashOptions> {
  readonly http?: HttpTransportOptions
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
    throw fail('CONFIG_UNREADABLE', `${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  return parseConfig(module.default, path)
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

const kinds: Readonly<Record<keyof ServerConfig, 'string' | 'number' | 'object' | 'function'>> = {
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
  http: 'object',
}

// A misspelt key would silently leave a default in force.
function checkKeys(config: Readonly<Record<string, unknown>>, path: string): ServerConfig {
  for (const [key, value] of Object.entries(config)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key as keyof ServerConfig] : undefined
    if (kind === undefined)
      throw fail(
        'CONFIG_UNREADABLE',
        `${path}: expected one of ${Object.keys(kinds).join(', ')}; found ${JSON.stringify(key.slice(0, 100))}`,
      )
    if (value !== undefined && typeof value !== kind)
      throw fail('CONFIG_UNREADABLE', `${path}: ${key}: expected a value of type ${kind}, found ${typeof value}`)
  }
  return config as ServerConfig
}
