import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { brokerUrl, checkLoginFlags, type MqttLoginFlags, mqttLogin, mqttPasswordVariable, mqttTls } from '../mqtt/mqtt-login.ts'
import type { MqttServerOptions, ServerConfig } from './server-config.ts'

/** The options of `reflash serve` that concern MQTT. */
export interface MqttFlags extends MqttLoginFlags {
  readonly mqtt?: boolean
  readonly mqttListen?: string
  readonly mqttBroker?: string
  readonly mqttVersion?: '5' | '3.1.1'
  readonly mqttPrefix?: string
  readonly mqttShare?: string
  readonly mqttTrustTopics?: boolean
  readonly otafluxTopic?: string
}

export function withMqttFlags(command: Command): Command {
  return command
    .option('--mqtt', 'serve devices over MQTT too, by a broker in this process (default: 127.0.0.1:1883)')
    .option('--mqtt-listen <host:port>', 'where that broker listens; port 0 takes a free one')
    .option('--mqtt-broker <url>', 'serve devices over MQTT too, through this broker: mqtt(s)://host[:port]')
    .addOption(new Option('--mqtt-version <version>', 'of MQTT at --mqtt-broker; 5 where absent').choices(['5', '3.1.1']))
    .option('--mqtt-username <name>', `user name at --mqtt-broker; its password is in ${mqttPasswordVariable}`)
    .option('--mqtt-password-file <file>', 'a file that holds that password')
    .option('--mqtt-ca <file>', 'authorities of the certificate of --mqtt-broker, PEM (default: those of the system)')
    .option('--mqtt-cert <file>', 'certificate, PEM: of the broker in this process, or shown to --mqtt-broker')
    .option('--mqtt-key <file>', 'its private key, PEM')
    .option('--mqtt-prefix <topic>', 'what all topics begin with (default: reflash)')
    .option('--mqtt-share <group>', 'group of a shared subscription at --mqtt-broker: the same for all replicas')
    .option('--mqtt-trust-topics', 'believe --mqtt-broker that a device is who its topic says: it must keep an access list')
    .option(
      '--otaflux-topic <topic>',
      "publish OtaFlux's notification, retained, on <topic>/<device> when a version is first offered to it",
    )
}

/** What only a broker elsewhere has, and why the embedded one has it not. */
const ofBrokers: readonly (readonly [keyof MqttFlags, string, string])[] = [
  ['mqttUsername', '--mqtt-username', 'this process has its own way in'],
  ['mqttPasswordFile', '--mqtt-password-file', 'this process has its own way in'],
  ['mqttCa', '--mqtt-ca', 'this process needs no authority to believe itself'],
  ['mqttShare', '--mqtt-share', 'replicas cannot share a broker that lives in one of them'],
  ['mqttTrustTopics', '--mqtt-trust-topics', 'the embedded broker keeps devices apart, and is believed'],
]

const others: readonly (readonly [keyof MqttFlags, string])[] = [
  ...ofBrokers.map(([name, option]) => [name, option] as const),
  ['mqttVersion', '--mqtt-version'],
  ['mqttCert', '--mqtt-cert'],
  ['mqttKey', '--mqtt-key'],
  ['mqttPrefix', '--mqtt-prefix'],
  ['otafluxTopic', '--otaflux-topic'],
]

/** Holds that the options belong together. @throws `USAGE` */
export function checkMqttFlags(flags: MqttFlags, { mqtt: config }: ServerConfig): void {
  const { mqtt, mqttListen, mqttBroker, mqttVersion } = flags
  const own = mqttListen !== undefined ? '--mqtt-listen' : mqtt === true ? '--mqtt' : undefined
  if (own !== undefined && mqttBroker !== undefined)
    throw fail('USAGE', `expected either ${own}, for the broker in this process, or --mqtt-broker, found both`)
  const isServed = mqtt === true || mqttListen !== undefined || mqttBroker !== undefined || config !== undefined
  const other = others.find(([name]) => flags[name] !== undefined)
  if (!isServed && other !== undefined)
    throw fail('USAGE', `${other[1]}: expected --mqtt, --mqtt-listen or --mqtt-broker beside it: without, nothing is served over MQTT`)
  const isEmbedded = mqttBroker === undefined && (mqttListen !== undefined || config?.url === undefined)
  const foreign = isEmbedded ? ofBrokers.find(([name]) => flags[name] !== undefined) : undefined
  if (foreign !== undefined) throw fail('USAGE', `${foreign[1]}: expected --mqtt-broker <url> beside it: ${foreign[2]}`)
  if (isEmbedded && mqttVersion === '5')
    throw fail('USAGE', '--mqtt-version: expected 3.1.1, which is what the broker in this process speaks, or --mqtt-broker <url>; found 5')
  checkLoginFlags(flags)
}

/**
 * How MQTT is served, from options and configuration; undefined where it is not. `--mqtt-listen` and `--mqtt-broker` replace all that the
 * configuration says of how its broker is reached.
 * @throws `USAGE`, `FILE_NOT_FOUND`, `FILE_NOT_READABLE`
 */
export async function mqttOptions(flags: MqttFlags, config: ServerConfig, cli: Pick<Cli, 'env'>): Promise<MqttServerOptions | undefined> {
  checkMqttFlags(flags, config)
  const { mqtt, mqttListen, mqttBroker, mqttVersion, mqttPrefix, mqttShare, otafluxTopic } = flags
  if (mqtt !== true && mqttListen === undefined && mqttBroker === undefined && config.mqtt === undefined) return undefined
  const place =
    mqttListen !== undefined || mqttBroker !== undefined ? elsewhere(config.mqtt ?? {}, mqttBroker === undefined) : (config.mqtt ?? {})
  const tls = await mqttTls(flags)
  return {
    ...place,
    ...(mqttListen === undefined ? {} : { listen: mqttListen }),
    ...(mqttBroker === undefined ? {} : { url: brokerUrl('--mqtt-broker', mqttBroker) }),
    ...(mqttVersion === undefined ? {} : { version: mqttVersion }),
    ...(await mqttLogin(flags, cli)),
    ...(tls === undefined ? {} : { tls }),
    ...(mqttPrefix === undefined ? {} : { prefix: mqttPrefix }),
    ...(mqttShare === undefined ? {} : { share: mqttShare }),
    ...(otafluxTopic === undefined ? {} : { otafluxTopic }),
  }
}

/** Where another broker is named: without what belongs to that of the configuration, so that its password is not shown to the other. */
const kept = ['prefix', 'share', 'otafluxTopic', 'limits', 'onRecord'] as const

function elsewhere(config: MqttServerOptions, isEmbedded: boolean): MqttServerOptions {
  const names = kept.filter((name) => config[name] !== undefined && !(isEmbedded && name === 'share'))
  return Object.fromEntries(names.map((name) => [name, config[name]]))
}
