import type { FleetDevice, Json } from '@reflash/core'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { labelsOf, type OperatorFlags, selectorOf, several, withOperator, withOperatorFlags } from '../fleet/operator-options.ts'
import { wholeNumber } from '../whole-number.ts'

interface ListFlags extends OperatorFlags {
  readonly select?: readonly string[]
  readonly after?: string
  readonly limit?: number
}

interface LabelFlags extends OperatorFlags {
  readonly set?: readonly string[]
}

/** Adds what operators ask about the devices of a server. */
export function defineFleetDevice(command: Command, cli: Cli): void {
  withOperatorFlags(
    command
      .command('list')
      .summary('list the devices of a server')
      .description('Lists devices by id, at most 500 at once; --after <id> goes on behind the last one.')
      .option('--select <label=value,...>', 'only those; several: all must hold', several)
      .option('--after <device>', 'begin behind this one')
      .option('--limit <count>', 'at most so many', wholeNumber),
  ).action((flags: ListFlags) => list(flags, cli))
  withOperatorFlags(
    command
      .command('explain')
      .summary('say why a device is offered something, or nothing')
      .description('Says what a device would be offered at its next check-in, and why, or why nothing.')
      .argument('<device>', 'its id'),
  ).action((id: string, flags: OperatorFlags) => explain(id, flags, cli))
  withOperatorFlags(
    command
      .command('label')
      .summary('give a device its labels')
      .description('Replaces the labels of a device, which need not have checked in yet; without any, it has none afterwards.')
      .argument('<device>', 'its id')
      .option('--set <label=value>', 'a label; can be given several times', several),
  ).action((id: string, { set = [], ...flags }: LabelFlags) => label(id, set, flags, cli))
}

async function list({ select, after, limit, ...flags }: ListFlags, cli: Cli): Promise<void> {
  const query = {
    ...(select === undefined ? {} : { selector: selectorOf(select) }),
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit }),
  }
  const devices = await withOperator(flags, cli, (client) => client.devices(query, cli))
  const lines = devices.length === 0 ? ['no device'] : devices.map(line)
  cli.output.result({ devices } as unknown as Json, lines.join('\n'))
}

async function explain(id: string, flags: OperatorFlags, cli: Cli): Promise<void> {
  const explanation = await withOperator(flags, cli, (client) => client.explain(id, cli))
  const { device, offered, because } = explanation
  const verdict = offered ? 'is offered an update' : 'is offered nothing'
  const text = [line(device), `${id} ${verdict}`, ...because.map(({ code, message }) => `  - ${code}: ${message}`)].join('\n')
  cli.output.result(explanation as unknown as Json, text)
}

async function label(id: string, terms: readonly string[], flags: OperatorFlags, cli: Cli): Promise<void> {
  const device = await withOperator(flags, cli, (client) => client.label(id, labelsOf(terms), cli))
  cli.output.result(device as unknown as Json, line(device))
}

function line({ id, model, installed, labels }: FleetDevice): string {
  const given = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
  return [id, model ?? 'unknown model', installed ?? 'unknown version', ...given].join('  ')
}
