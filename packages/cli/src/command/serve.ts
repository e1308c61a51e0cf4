import { createGateway, isOtaError, type Journal, type Serving } from '@reflash/core'
import { httpTransport } from '@reflash/transport-http'
import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'
import { checkRolloutFlags, type RolloutFlags, serveRollout } from '../serve/serve-rollout.ts'
import { loadConfig, type ServerConfig } from '../serve/server-config.ts'
import { type LogLevel, logLevels, type ServerLog, serverLog } from '../serve/server-log.ts'
import { type ServerFlags, serverOptions } from '../serve/server-options.ts'
import { wholeNumber } from '../whole-number.ts'

interface ServeFlags extends ServerFlags, RegistryFlags, RolloutFlags {
  readonly listen?: string
  readonly config?: string
  readonly logLevel: LogLevel
}

export function defineServe(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Serves the newest release that verifies to devices over HTTP: the native protocol and the OtaFlux dialect. Ends at Ctrl-C or SIGTERM, once running downloads are done.',
      )
      .option('--repository <template>', 'where releases come from; {device} and {model} are filled in')
      .option(
        '--key <file>',
        'public key that signs the releases; several may be given, then any one of them counts',
        (file: string, all: readonly string[] = []) => [...all, file],
      )
      .option('--allow-unsigned', 'serve releases that nobody signed')
      .option('--tokens <file>', 'tokens of devices: a line "device-id token" each')
      .option('--allow-anonymous', 'believe every device that it is who it says')
      .option('--product <name>', 'the signed product to expect')
      .option('--trust-tag-versions', 'believe tags where no version is signed')
      .option('--channel <name>', 'also serve pre-releases of this name (default: stable releases only)')
      .option('--poll-ms <milliseconds>', 'how often devices are told to check in (default: 60000)', wholeNumber)
      .option('--listen <host:port>', 'where to listen; port 0 takes a free one (default: 127.0.0.1:8080)')
      .option('--state <folder>', 'where journal and cache live', '.reflash')
      .option('--store <path|url>', 'where journal and fleet live instead: a SQLite file, or postgres://user@host/database')
      .option('--rollout', 'offer what deployments bring, wave by wave, and nothing else')
      .option('--management <host:port>', 'where operators are listened to; devices have no business there')
      .option('--management-tokens <file>', 'tokens of operators: a line "name token" each')
      .option(
        '--config <file>',
        'a module that exports a composition, such as reflash.config.ts; what an option says replaces what it says',
      )
      .addOption(new Option('--log-level <level>', 'what is logged on stderr').choices(logLevels).default('info')),
  )
    .option('--json', 'print where it listens and what is open as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash serve --repository '127.0.0.1:5000/firmware/{device}' --key cosign.pub --tokens tokens --product lamp
  reflash serve --repository oci:releases --key cosign.pub --allow-anonymous --listen 127.0.0.1:0
  reflash serve --config reflash.config.ts --tokens tokens --key cosign.pub
  reflash serve --repository oci:releases --key cosign.pub --tokens tokens --rollout --management 127.0.0.1:8081 --management-tokens operators`,
    )
    .action((flags: ServeFlags) => serve(flags, cli))
}

async function serve(flags: ServeFlags, cli: Cli): Promise<void> {
  const { signal, output, stderr } = cli
  checkRolloutFlags(flags)
  const config: ServerConfig = flags.config === undefined ? {} : await loadConfig(flags.config)
  const log = serverLog(stderr, flags.logLevel, cli.now)
  const options = await serverOptions(
    flags,
    config,
    () => registryFrom(flags, cli),
    (line) => log.record('warn', line),
  )
  const gateway = createGateway({
    ...options,
    onEvent: (event) => {
      log.event(event)
      config.onEvent?.(event)
    },
  })
  const { composition } = gateway
  let rollout: Serving | undefined
  try {
    await lookAtJournal(composition.journal, log, signal)
    rollout = await serveRollout(flags, gateway, log, cli)
    const transport = httpTransport({
      onRequest: log.request,
      ...config.http,
      ...(flags.listen === undefined ? {} : { listen: flags.listen }),
    })
    const serving = await transport.serve({ gateway, authenticators: options.authenticators }, { signal })
    const { addresses } = serving
    const { opens } = composition
    const management = rollout?.addresses ?? []
    output.result(
      { listening: addresses, ...(management.length === 0 ? {} : { management }), repository: options.repository, opens },
      startText(addresses, management, options.repository, opens),
    )
    await ended(signal)
    log.record('info', 'draining')
    await serving[Symbol.asyncDispose]()
    log.record('info', 'stopped')
  } finally {
    await rollout?.[Symbol.asyncDispose]()
    await composition.close()
  }
}

/** A journal that cannot be read now may come back, so the server starts; but nobody should learn of it from the first device. */
async function lookAtJournal(journal: Journal, log: ServerLog, signal: AbortSignal): Promise<void> {
  try {
    await journal.get('start', { signal })
  } catch (error) {
    if (!isOtaError(error) || error.fault === 'aborted') throw error
    log.record('warn', `no device is served until the journal can be used: ${error.code}: ${error.message}`)
  }
}

function startText(addresses: readonly string[], management: readonly string[], repository: string, opens: readonly string[]): string {
  const operators = management.length === 0 ? [] : [`  operators ${management.join(', ')}`]
  return [
    `listening on ${addresses.join(', ')}`,
    `  releases  ${repository}`,
    ...operators,
    ...opens.map((text) => `  OPEN      ${text}`),
    '',
  ].join('\n')
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
