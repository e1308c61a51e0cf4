import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { brokerUrl, checkLoginFlags, type MqttLoginFlags, mqttLogin, mqttPasswordVariable, mqttTls } from '../mqtt/mqtt-login.ts'
import { nativeServer } from './native-server.ts'
import type { ServerConnection } from './update-server.ts'

/** The options of `reflash device` that say how its server is reached. */
export interface ServerFlags extends MqttLoginFlags {
  readonly server: string
  readonly id: string
  readonly mqttVersion?: '5' | '3.1.1'
  readonly mqttPrefix?: string
}

/** Those that count only where the server is behind a broker. */
export function withDeviceMqttFlags(command: Command): Command {
  return command
    .addOption(new Option('--mqtt-version <version>', 'of MQTT; 3.1.1 where absent, which every broker speaks').choices(['5', '3.1.1']))
    .option(
      '--mqtt-username <name>',
      `user name at the broker, its password in ${mqttPasswordVariable} (default: the id of the device, and its token)`,
    )
    .option('--mqtt-password-file <file>', 'a file that holds that password')
    .option('--mqtt-ca <file>', "authorities of the broker's certificate, PEM (default: those of the system)")
    .option('--mqtt-cert <file>', 'certificate that is shown to the broker, PEM')
    .option('--mqtt-key <file>', 'its private key, PEM')
    .option('--mqtt-prefix <topic>', "what all topics begin with, as the server's (default: reflash)")
}

const ofMqtt: readonly (readonly [keyof ServerFlags, string])[] = [
  ['mqttVersion', '--mqtt-version'],
  ['mqttUsername', '--mqtt-username'],
  ['mqttPasswordFile', '--mqtt-password-file'],
  ['mqttCa', '--mqtt-ca'],
  ['mqttCert', '--mqtt-cert'],
  ['mqttKey', '--mqtt-key'],
  ['mqttPrefix', '--mqtt-prefix'],
]

/**
 * The server of a device, by HTTP or behind a broker, as its URL says; nothing is asked yet.
 * @throws `USAGE`, `INVALID_OPTION`, `INVALID_OPTIONS`, `FILE_NOT_FOUND`, `FILE_NOT_READABLE`
 */
export async function serverConnection(flags: ServerFlags, token: string | undefined, cli: Pick<Cli, 'env'>): Promise<ServerConnection> {
  const { server, id: deviceId } = flags
  const shown = token === undefined ? {} : { token }
  if (/^mqtts?:/i.test(server)) return overMqtt(flags, shown, cli)
  const other = ofMqtt.find(([name]) => flags[name] !== undefined)
  if (other !== undefined) throw fail('USAGE', `${other[1]}: expected --server mqtt(s)://host[:port] beside it, found another`)
  if (!/^https?:/i.test(server)) throw fail('USAGE', '--server: expected http(s):// or mqtt(s)://, found something else')
  return nativeServer({ server, deviceId, ...shown })
}

async function overMqtt(flags: ServerFlags, shown: { readonly token?: string }, cli: Pick<Cli, 'env'>): Promise<ServerConnection> {
  const { server, id: deviceId, mqttVersion = '3.1.1', mqttPrefix } = flags
  const url = brokerUrl('--server', server)
  checkLoginFlags(flags)
  const login = await mqttLogin(flags, cli)
  const tls = await mqttTls(flags)
  // Loaded where it is used.
  const { mqttServer } = await import('./mqtt-server.ts')
  return mqttServer({
    url,
    version: mqttVersion,
    deviceId,
    ...shown,
    // What the embedded broker asks for, and others commonly do.
    ...(login.username === undefined ? { username: deviceId, ...(shown.token === undefined ? {} : { password: shown.token }) } : login),
    ...(tls === undefined ? {} : { tls }),
    ...(mqttPrefix === undefined ? {} : { prefix: mqttPrefix }),
  })
}
