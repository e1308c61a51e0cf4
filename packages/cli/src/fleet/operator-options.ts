import { type ManagementClient, managementClient } from '@reflash/transport-http/client'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { readSmallFile } from '../files.ts'

export interface OperatorFlags {
  readonly server: string
  readonly tokenFile?: string
}

const variable = 'REFLASH_TOKEN'
/** Bytes; a token has at most 1024 characters. */
const tokenFileLimitBytes = 4096

/** The options of every command that talks to the management address of a server. */
export function withOperatorFlags(command: Command): Command {
  return command
    .option('--server <url>', 'the management address of the server', 'http://127.0.0.1:8081')
    .option('--token-file <file>', `a file that holds your token (default: the environment variable ${variable})`)
    .option('--json', 'print the result as JSON')
}

/** Lets `use` talk to the server, and hangs up after it. @throws `USAGE`, and what the client throws */
export async function withOperator<T>(
  { server, tokenFile }: OperatorFlags,
  cli: Cli,
  use: (client: ManagementClient) => Promise<T>,
): Promise<T> {
  const token =
    tokenFile === undefined
      ? cli.env[variable]
      : new TextDecoder().decode(await readSmallFile(tokenFile, 'a token', tokenFileLimitBytes)).trim()
  if (token === undefined || token === '') throw fail('USAGE', `expected your token in --token-file or in ${variable}, found neither`)
  const client = managementClient({ server, token })
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** `site=berlin,paris`, any number of times. @throws `USAGE` */
export function selectorOf(terms: readonly string[]): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(terms.map((term) => [nameOf(term), term.slice(term.indexOf('=') + 1).split(',')]))
}

/** `site=berlin`, any number of times. @throws `USAGE` */
export function labelsOf(terms: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(terms.map((term) => [nameOf(term), term.slice(term.indexOf('=') + 1)]))
}

function nameOf(term: string): string {
  const equals = term.indexOf('=')
  if (equals > 0 && equals < term.length - 1) return term.slice(0, equals)
  throw fail('USAGE', `expected <label>=<value>, found ${JSON.stringify(term.slice(0, 100))}`)
}

/** Collects an option that may be given several times. */
export const several = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]
