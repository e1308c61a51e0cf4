import type { Registry } from '@reflash/core'
import { ociRegistry } from '@reflash/registry-oci'
import type { Command } from 'commander'
import type { Cli } from './cli.ts'
import { fail } from './cli-errors.ts'
import { secretFromStdin } from './secret.ts'

export interface RegistryFlags {
  readonly plainHttp?: boolean
  readonly username?: string
  readonly passwordStdin?: boolean
}

/** The options of every command that talks to a registry. */
export function withRegistryFlags(command: Command): Command {
  return command
    .option('--plain-http', 'speak http instead of https to the registry (implied for loopback)')
    .option('--username <name>', 'user name at the registry')
    .option('--password-stdin', 'read the password at the registry from stdin')
}

/**
 * Opens registries as the options say; nothing is asked yet. The password is read from stdin once, here.
 * @throws `USAGE`
 */
export async function registryFrom({ plainHttp, username, passwordStdin = false }: RegistryFlags, cli: Cli): Promise<Registry> {
  if ((username !== undefined) !== passwordStdin) {
    throw fail('USAGE', 'expected --username and --password-stdin together, found only one of them')
  }
  const credentials = username === undefined ? undefined : { username, password: await secretFromStdin(cli) }
  return ociRegistry({
    ...(plainHttp === true ? { plainHttp } : {}),
    ...(credentials === undefined ? {} : { credentials: () => credentials }),
  })
}
