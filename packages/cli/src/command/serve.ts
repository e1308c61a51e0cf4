import { type Composition, createGateway, isOtaError, type Journal, type Json, type Serving } from '@reflash/core'
import { type HttpTransportOptions, httpTransport } from '@reflash/transport-http'
import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { several } from '../fleet/operator-options.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'
import { type DialectFlags, dialectName, dialectsOf } from '../serve/dialect-options.ts'
import { type MqttFlags, mqttOptions, withMqttFlags } from '../serve/mqtt-options.ts'
import { type MqttFacts, type MqttServing, mqttText, serveMqtt } from '../serve/serve-mqtt.ts'
import { checkRolloutFlags, type RolloutFlags, serveRollout } from '../serve/serve-rollout.ts'
import { loadConfig, type ServerConfig } from '../serve/server-config.ts'
import { type LogLevel, logLevels, type ServerLog, serverLog } from '../serve/server-log.ts'
import { type ServerFlags, serverOptions } from '../serve/server-options.ts'
import { wholeNumber } from '../whole-number.ts'

interface ServeFlags extends ServerFlags, RegistryFlags, RolloutFlags, MqttFlags, DialectFlags {
  readonly http: boolean
  readonly listen?: string
  readonly config?: string
  readonly logLevel: LogLevel
}

export function defineServe(command: Command, cli: Cli): void {
  withCompositionFlags(command)
  withMqttFlags(command)
  withRegistryFlags(command)
    .option('--json', 'print where it listens and what is open as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash serve --repository '127.0.0.1:5000/firmware/{device}' --key cosign.pub --tokens tokens --product lamp
  reflash serve --repository oci:releases --key cosign.pub --allow-anonymous --listen 127.0.0.1:0
  reflash serve --repository oci:releases --key cosign.pub --tokens tokens --mqtt
  reflash serve --repository oci:releases --key cosign.pub --tokens tokens --mqtt-broker mqtts://broker.example --mqtt-username server
  reflash serve --config reflash.config.ts --tokens tokens --key cosign.pub
  reflash serve --repository oci:gates --key cosign.pub --tokens tokens --swupdate gate --swu-signer updates.crt --swu-platform linux/arm64
  reflash serve --repository oci:releases --key cosign.pub --tokens tokens --rollout --management 127.0.0.1:8081 --management-tokens operators`,
    )
    .action((flags: ServeFlags) => serve(flags, cli))
}

function withCompositionFlags(command: Command): Command {
  return command
    .description(
      'Serves the newest release that verifies to devices: over HTTP to ESP32s, by the native protocol and the OtaFlux dialect, or to devices with SWUpdate, by the API of hawkBit; and over MQTT where that is asked for. Ends at Ctrl-C or SIGTERM, once running downloads are done.',
    )
    .option('--repository <template>', 'where releases come from; {device} and {model} are filled in')
    .option('--key <file>', 'public key that signs the releases; several may be given, then any one of them counts', several)
    .option('--allow-unsigned', 'serve releases that nobody signed')
    .option('--tokens <file>', 'tokens of devices: a line "device-id token" each')
    .option('--gateway-token <file>', 'a file with one token that speaks for every device: what hawkBit calls a gateway token')
    .option('--allow-anonymous', 'believe every device that it is who it says')
    .option('--product <name>', 'the signed product to expect')
    .option('--trust-tag-versions', 'believe tags where no version is signed')
    .option('--channel <name>', 'also serve pre-releases of this name (default: stable releases only)')
    .option('--poll-ms <milliseconds>', 'how often devices are told to check in (default: 60000)', wholeNumber)
    .option(
      '--dialect <name>',
      'what is spoken over HTTP: native, otaflux, hawkbit; several may be given (default: native and otaflux; hawkbit with --swupdate)',
      dialectName,
    )
    .option('--swupdate <model>', 'serve .swu files to devices of this model, which install them with SWUpdate, instead of ESP32s')
    .option('--swu-signer <file>', 'certificate or RSA public key that signs the .swu files; several may be given', several)
    .option('--swu-unchecked', 'leave the signatures inside the .swu files to the devices')
    .option('--swu-platform <platform>', 'where they run, as pushed: linux/arm64 (default: custom/<model>)')
    .option('--listen <host:port>', 'where to listen for HTTP; port 0 takes a free one (default: 127.0.0.1:8080)')
    .option('--no-http', 'serve devices over MQTT alone')
    .option('--state <folder>', 'where journal and cache live', '.reflash')
    .option('--store <path|url>', 'where journal and fleet live instead: a SQLite file, or postgres://user@host/database')
    .option('--rollout', 'offer what deployments bring, wave by wave, and nothing else')
    .option('--management <host:port>', 'where operators are listened to; devices have no business there')
    .option('--management-tokens <file>', 'tokens of operators: a line "name token" each')
    .option('--config <file>', 'a module that exports a composition, such as reflash.config.ts; what an option says replaces what it says')
    .addOption(new Option('--log-level <level>', 'what is logged on stderr').choices(logLevels).default('info'))
}

async function serve(flags: ServeFlags, cli: Cli): Promise<void> {
  const { signal, output, stderr } = cli
  checkRolloutFlags(flags)
  const config: ServerConfig = flags.config === undefined ? {} : await loadConfig(flags.config)
  const mqtt = await mqttOptions(flags, config, cli)
  const http = httpOptions(flags, config, mqtt !== undefined)
  const log = serverLog(stderr, flags.logLevel, cli.now)
  const options = await serverOptions(
    flags,
    config,
    () => registryFrom(flags, cli),
    (line) => log.record('warn', line),
    // The embedded broker keeps devices apart.
    mqtt !== undefined && (mqtt.url === undefined || flags.mqttTrustTopics === true),
  )
  const gateway = createGateway({
    ...options,
    onEvent: (event) => {
      log.event(event)
      config.onEvent?.(event)
    },
  })
  const { composition } = gateway
  const { authenticators } = options
  let rollout: Serving | undefined
  let overMqtt: MqttServing | undefined
  try {
    await lookAtJournal(composition.journal, log, signal)
    rollout = await serveRollout(flags, gateway, log, cli)
    if (mqtt !== undefined) overMqtt = await serveMqtt(mqtt, { gateway, authenticators, log, signal })
    const door = overMqtt?.gateway ?? gateway
    const overHttp = http && (await httpTransport({ onRequest: log.request, ...http }).serve({ gateway: door, authenticators }, { signal }))
    const addresses = [...(overHttp?.addresses ?? []), ...(overMqtt?.addresses ?? [])]
    output.result(...startOf({ addresses, management: rollout?.addresses ?? [], mqtt: overMqtt?.facts, composition }))
    await ended(signal)
    log.record('info', 'draining')
    await Promise.all([overHttp?.[Symbol.asyncDispose](), overMqtt?.[Symbol.asyncDispose]()])
    log.record('info', 'stopped')
  } finally {
    await overMqtt?.[Symbol.asyncDispose]()
    await rollout?.[Symbol.asyncDispose]()
    await composition.close()
  }
}

/** Undefined where devices have MQTT alone. @throws `USAGE` */
function httpOptions(flags: ServeFlags, config: ServerConfig, hasMqtt: boolean): HttpTransportOptions | undefined {
  const { http, listen } = flags
  const dialects = dialectsOf(flags, config)
  for (const [name, value] of Object.entries({ listen, dialect: flags.dialect }))
    if (!http && value !== undefined) throw fail('USAGE', `expected either --${name} or --no-http, found both`)
  const isServed = http && (config.http !== false || listen !== undefined || flags.dialect !== undefined)
  if (!isServed && !hasMqtt) throw fail('USAGE', 'expected --mqtt, --mqtt-listen or --mqtt-broker where devices have no HTTP, found none')
  if (!isServed) return undefined
  const given = config.http === false ? {} : config.http
  return { ...given, ...(listen === undefined ? {} : { listen }), ...(dialects === undefined ? {} : { dialects }) }
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

interface Start {
  readonly addresses: readonly string[]
  readonly management: readonly string[]
  readonly mqtt: MqttFacts | undefined
  readonly composition: Composition
}

/** What is printed at the start: a document, and text for people. */
function startOf({ addresses, management, mqtt, composition }: Start): [Json, string] {
  const { opens, options } = composition
  const { repository } = options
  const document = {
    listening: addresses,
    ...(mqtt === undefined ? {} : { mqtt: { ...mqtt } }),
    ...(management.length === 0 ? {} : { management }),
    repository,
    opens,
  }
  const lines = [
    addresses.length === 0 ? 'listening on no address of its own' : `listening on ${addresses.join(', ')}`,
    `  releases  ${repository}`,
    ...(mqtt === undefined ? [] : mqttText(mqtt)),
    ...(management.length === 0 ? [] : [`  operators ${management.join(', ')}`]),
    ...opens.map((text) => `  OPEN      ${text}`),
    '',
  ]
  return [document, lines.join('\n')]
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
