import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import type { Cli, TextSource } from './cli.ts'
import { fail } from './cli-errors.ts'
import { exitCodeHelp } from './exit-code.ts'
import { interruptOn, type Signalled } from './interrupt.ts'
import { outputOn, type TextSink } from './output.ts'

/** Adds arguments, options and action to a command. */
export type Define = (command: Command, cli: Cli) => void

// A command's module is loaded when it is named: its dependencies are most of what a start costs.
const commands: Readonly<Record<string, { summary: string; load: () => Promise<Define> }>> = {
  keygen: { summary: 'make a key pair to sign releases with', load: async () => (await import('./command/keygen.ts')).defineKeygen },
  push: { summary: 'push a release to a registry or an OCI layout', load: async () => (await import('./command/push.ts')).definePush },
  sign: { summary: 'sign a release', load: async () => (await import('./command/sign.ts')).defineSign },
  verify: { summary: 'say whether a key has signed a release', load: async () => (await import('./command/verify.ts')).defineVerify },
  pull: { summary: 'write the image of a release into a file', load: async () => (await import('./command/pull.ts')).definePull },
  inspect: { summary: 'say what a file or a release is', load: async () => (await import('./command/inspect.ts')).defineInspect },
  flash: { summary: 'update an ESP32 over a cable', load: async () => (await import('./command/flash.ts')).defineFlash },
  serve: { summary: 'serve releases to devices over HTTP', load: async () => (await import('./command/serve.ts')).defineServe },
  device: {
    summary: 'be a virtual ESP32, or ask about the devices of a fleet',
    load: async () => (await import('./command/device.ts')).defineDevice,
  },
  rollout: { summary: 'bring a release to a fleet in waves', load: async () => (await import('./command/rollout.ts')).defineRollout },
  attest: { summary: 'judge what devices prove about themselves', load: async () => (await import('./command/attest.ts')).defineAttest },
  demo: {
    summary: 'play the whole journey of a release on this machine',
    load: async () => (await import('./command/demo.ts')).defineDemo,
  },
}

/** What of a process a command line uses: the real one, or a test's. */
export interface HostProcess extends Signalled {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: TextSource
  readonly stdout: TextSink
  readonly stderr: TextSink & { readonly isTTY?: boolean }
}

/** Runs one command line to its end and returns the exit code. */
export async function runCommandLine(process: HostProcess): Promise<number> {
  const args = process.argv.slice(2)
  const options = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  const output = outputOn({
    stdout: process.stdout,
    stderr: process.stderr,
    json: options.includes('--json'),
    debug: (process.env.REFLASH_DEBUG ?? '') !== '',
    help: () => help,
  })
  let help = 'reflash --help'
  const interrupt = interruptOn(process)
  try {
    const { env, stdin, stderr } = process
    const cli: Cli = { env, stdin, stderr, output, signal: interrupt.signal, now: () => new Date() }
    const program = await programFor(namedIn(args), cli, process)
    help = helpOf(program, args)
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0
      await output.error(usageError(error, args))
    } else {
      await output.error(interrupt.signal.aborted ? interrupt.signal.reason : error)
    }
  } finally {
    interrupt.release()
  }
  return output.exitCode
}

/** What to type for help on the command that was named: `reflash rollout create --help`. */
function helpOf(program: Command, args: readonly string[]): string {
  const path: string[] = [program.name()]
  let command: Command | undefined = program
  for (const arg of args) {
    command = command.commands.find((inner) => inner.name() === arg)
    if (command === undefined) break
    path.push(arg)
  }
  return [...path, '--help'].join(' ')
}

/** `push ...`, or `help push`. */
function namedIn(args: readonly string[]): readonly string[] {
  return args.filter((arg) => !arg.startsWith('-')).slice(0, 2)
}

/** The whole command line; only the commands that are named have their options. */
export async function programFor(named: readonly string[], cli: Cli, host: Pick<HostProcess, 'stdout' | 'stderr'>): Promise<Command> {
  const program = configured(new Command('reflash'), host)
    .description('Over-the-air updates: push, sign, verify and serve releases from OCI registries.')
    .version(version(), '--version', 'print the version')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', `\n${exitCodeHelp}`)
  for (const [name, { summary, load }] of Object.entries(commands)) {
    const command = configured(program.command(name), host).summary(summary)
    if (named.includes(name)) (await load())(command, cli)
  }
  return program
}

function configured(command: Command, { stdout, stderr }: Pick<HostProcess, 'stdout' | 'stderr'>): Command {
  return command
    .exitOverride()
    .enablePositionalOptions()
    .helpOption('-h, --help', 'print this help')
    .configureOutput({ writeOut: (text) => void stdout.write(text), writeErr: (text) => void stderr.write(text), outputError: () => {} })
}

/** Characters; who pastes a file where a word belongs need not read it again. */
const usageLimit = 1000

/** What commander refuses, as an error of ours. */
export function usageError(error: CommanderError, args: readonly string[] = []): Error {
  // It repeats what was typed, which a script may have read from anywhere.
  const isEarly =
    error.code === 'commander.unknownOption' && args[0]?.startsWith('-') && namedIn(args).some((name) => Object.hasOwn(commands, name))
  const visible = `${usageMessage(error)}${isEarly ? '; options go behind the command' : ''}`.replace(
    /\p{Cc}/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return fail('USAGE', visible.length > usageLimit ? `${visible.slice(0, usageLimit)}…` : visible)
}

/** `error: unknown option '--forc'\n(Did you mean --force?)` as one sentence. */
function usageMessage({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'expected a command, found none'
  return message.replace(/^error: /, '').replace(/\n\(Did you mean (.*)\?\)$/s, '; did you mean $1?')
}

function version(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version
}
