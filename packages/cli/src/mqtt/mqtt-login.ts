import type { BrokerOptions, MqttTls } from '@reflash/transport-mqtt'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { readSmallFile } from '../files.ts'

/** How a broker is logged in to, and how its certificate is checked. */
export interface MqttLoginFlags {
  readonly mqttUsername?: string
  readonly mqttPasswordFile?: string
  readonly mqttCa?: string
  readonly mqttCert?: string
  readonly mqttKey?: string
}

export const mqttPasswordVariable = 'REFLASH_MQTT_PASSWORD'
/** Bytes; MQTT allows 65,535, and nobody has a password of 4 KiB. */
const passwordLimitBytes = 4096
/** Bytes: a bundle of some hundred authorities. */
const pemLimitBytes = 1024 * 1024

/** @throws `USAGE` where a password is in the URL: other users of the machine can see a command line */
export function brokerUrl(option: string, text: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'mqtt:' && url.protocol !== 'mqtts:'))
    throw fail('USAGE', `${option}: expected mqtt://host[:port] or mqtts://host[:port], found something else`)
  if (url.username !== '' || url.password !== '') {
    const where = `--mqtt-username, and the password in ${mqttPasswordVariable} or --mqtt-password-file`
    throw fail('USAGE', `${option}: expected ${where}; found credentials in the URL, which others can see`)
  }
  return text
}

/** @throws `USAGE` naming the flag that lacks its other half */
export function checkLoginFlags({ mqttUsername, mqttPasswordFile, mqttCert, mqttKey }: MqttLoginFlags): void {
  if (mqttPasswordFile !== undefined && mqttUsername === undefined)
    throw fail('USAGE', '--mqtt-password-file: expected --mqtt-username beside it, found none')
  if ((mqttCert === undefined) !== (mqttKey === undefined))
    throw fail('USAGE', 'expected --mqtt-cert and --mqtt-key together, found only one of them')
}

/**
 * User name and password at a broker: the password from a file, else from the environment.
 * @throws `USAGE`, `FILE_NOT_FOUND`, `FILE_NOT_READABLE`
 */
export async function mqttLogin(
  { mqttUsername: username, mqttPasswordFile: file }: MqttLoginFlags,
  { env }: Pick<Cli, 'env'>,
): Promise<Login> {
  if (username === undefined) return {}
  const given = env[mqttPasswordVariable]
  if (file === undefined) return given === undefined || given === '' ? { username } : { username, password: given }
  const password = new TextDecoder().decode(await readSmallFile(file, 'a password', passwordLimitBytes)).replace(/\r?\n$/, '')
  if (password === '') throw fail('USAGE', `--mqtt-password-file: expected a password in ${file}, found an empty file`)
  return { username, password }
}

type Login = Pick<BrokerOptions, 'username' | 'password'>

/** @throws `FILE_NOT_FOUND`, `FILE_NOT_READABLE` */
export async function mqttTls({ mqttCa, mqttCert, mqttKey }: MqttLoginFlags): Promise<MqttTls | undefined> {
  if (mqttCa === undefined && mqttCert === undefined && mqttKey === undefined) return undefined
  const read = async (path: string, what: string): Promise<Uint8Array> => readSmallFile(path, what, pemLimitBytes)
  return {
    ...(mqttCa === undefined ? {} : { ca: await read(mqttCa, 'a certificate authority') }),
    ...(mqttCert === undefined ? {} : { cert: await read(mqttCert, 'a certificate') }),
    ...(mqttKey === undefined ? {} : { key: await read(mqttKey, 'a private key') }),
  }
}
