import { setTimeout as pause } from 'node:timers/promises'
import type { Deployment, Json } from '@reflash/core'
import { type Command, InvalidArgumentError } from 'commander'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-code.ts'
import { deploymentText } from '../fleet/deployment-text.ts'
import { type OperatorFlags, selectorOf, several, withOperator, withOperatorFlags } from '../fleet/operator-options.ts'
import { wholeNumber } from '../whole-number.ts'

interface CreateFlags extends OperatorFlags {
  readonly select?: readonly string[]
  readonly waves?: readonly number[]
  readonly success?: number
  readonly failure?: number
  readonly waveMs?: number
  readonly proof?: boolean
}

interface WatchFlags extends OperatorFlags {
  readonly everyMs: number
}

export function defineRollout(command: Command, cli: Cli): void {
  command.description('Brings a release to a fleet in waves: what fails early stops the rest. Talks to the management address of a server.')
  command.addHelpText(
    'after',
    `
Examples:
  reflash rollout create lamp-1.1.0 1.1.0 --select site=berlin,paris --waves 10,100
  reflash rollout watch lamp-1.1.0
  reflash rollout pause lamp-1.1.0 --token-file operator.token`,
  )
  defineCreate(command, cli)
  withOperatorFlags(
    command
      .command('show')
      .summary('show a deployment, or all of them')
      .description('Shows a deployment, what it waits for, and who did what to it; without an id all deployments, the youngest first.')
      .argument('[id]', 'the deployment'),
  ).action((id: string | undefined, flags: OperatorFlags) => show(id, flags, cli))
  withOperatorFlags(
    command
      .command('watch')
      .summary('follow a deployment to its end')
      .description('Says on stderr what changes until the deployment has finished (exit code 0), or was paused or aborted (3).')
      .argument('<id>', 'the deployment')
      .option('--every-ms <milliseconds>', 'how often to look', wholeNumber, 1000),
  ).action((id: string, flags: WatchFlags) => watch(id, flags, cli))
  const moves = {
    pause: 'Holds back what is not downloading yet, until resume.',
    resume: 'Goes on where it was paused; failures so far do not pause it a second time.',
    abort: 'Takes back what is not downloading yet, for good.',
  } as const
  for (const [name, description] of Object.entries(moves) as [keyof typeof moves, string][]) {
    withOperatorFlags(
      command.command(name).summary(`${name} a deployment`).description(description).argument('<id>', 'the deployment'),
    ).action(async (id: string, flags: OperatorFlags) => told(await withOperator(flags, cli, (client) => client[name](id, cli)), cli))
  }
}

function defineCreate(command: Command, cli: Cli): void {
  withOperatorFlags(
    command
      .command('create')
      .summary('roll a version out')
      .description('Makes a deployment. Its first wave begins at once; each wave is counted when it begins and never grows.')
      .argument('<id>', 'a name for it: letters, digits and . _ -')
      .argument('<version>', 'what to bring to the devices')
      .option('--select <label=value,...>', 'which devices; several: all must hold; model=<model> works too (default: all)', several)
      .option('--waves <percents>', 'ascending percents, the last one 100 (default: 10,100)', percents)
      .option('--success <percent>', 'what of a wave must be confirmed before the next begins (default: 90)', percent)
      .option('--failure <percent>', 'what of a wave, failed, pauses it (default: 10)', percent)
      .option('--wave-ms <milliseconds>', 'how long each wave stays open at least', wholeNumber)
      .option('--proof', 'count only what a device proves by evidence'),
  ).action((id: string, version: string, flags: CreateFlags) => create(id, version, flags, cli))
}

async function create(id: string, version: string, flags: CreateFlags, cli: Cli): Promise<void> {
  const { select, waves, success, failure, waveMs, proof } = flags
  const asked = {
    id,
    version,
    ...(select === undefined ? {} : { selector: selectorOf(select) }),
    ...(waves === undefined ? {} : { waves }),
    ...(success === undefined ? {} : { successPercent: success }),
    ...(failure === undefined ? {} : { failurePercent: failure }),
    ...(waveMs === undefined ? {} : { waveMs }),
    ...(proof === undefined ? {} : { proof }),
  }
  told(await withOperator(flags, cli, (client) => client.create(asked, cli)), cli)
}

async function show(id: string | undefined, flags: OperatorFlags, cli: Cli): Promise<void> {
  const { output } = cli
  await withOperator(flags, cli, async (client) => {
    if (id === undefined) {
      const deployments = await client.list(cli)
      const texts = deployments.length === 0 ? ['no deployment yet'] : deployments.map(deploymentText)
      output.result({ deployments } as unknown as Json, texts.join('\n'))
      return
    }
    const shown = await client.show(id, cli)
    const waits = shown.waits.map(({ code, message }) => `  waits for  ${code}: ${message}`)
    const lines = shown.audit.map(({ at, by, action }) => `  ${at}  ${by}: ${action}`)
    output.result(shown as unknown as Json, [deploymentText(shown.deployment), ...waits, ...lines].join('\n'))
  })
}

async function watch(id: string, flags: WatchFlags, cli: Cli): Promise<void> {
  const { output, signal } = cli
  await withOperator(flags, cli, async (client) => {
    for (let said = ''; ; ) {
      const { deployment } = await client.show(id, cli)
      const text = output.json ? JSON.stringify(deployment) : deploymentText(deployment)
      if (deployment.state !== 'running') {
        output.result(documentOf(deployment), deploymentText(deployment), deployment.state === 'finished' ? 0 : exitCodes.rejected)
        return
      }
      if (text !== said) output.note(text)
      said = text
      await pause(flags.everyMs, undefined, { signal })
    }
  })
}

function told(deployment: Deployment, { output }: Cli): void {
  output.result(documentOf(deployment), deploymentText(deployment))
}

const documentOf = (deployment: Deployment): Json => deployment as unknown as Json

function percents(text: string): readonly number[] {
  return text.split(',').map(percent)
}

function percent(text: string): number {
  const value = Number(text)
  if (/^\d+(?:\.\d+)?$/.test(text) && value > 0 && value <= 100) return value
  throw new InvalidArgumentError('expected percents above 0 and up to 100.')
}
