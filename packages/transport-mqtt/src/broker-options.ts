import { X509Certificate } from 'node:crypto'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { coreError } from '@reflash/core'
import { type Topics, topicsOf } from './topics.ts'

/** How the broker's certificate is checked, and which one is shown to it. PEM. */
export interface MqttTls {
  /** Authorities of the broker's certificate; those of the system where absent. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
  readonly passphrase?: string
  /** The name that the broker's certificate must have, where it is not the host of `url`. */
  readonly serverName?: string
  /** The certificate that the broker must show, whoever issued it and whatever its names are: in place of `ca` and `serverName`. */
  readonly pinned?: string | Uint8Array
}

/** How a broker is reached. Servers and devices have these in common. */
export interface BrokerOptions {
  /** `mqtt://host[:port]` or, with TLS, `mqtts://host[:port]`; never with credentials. */
  readonly url: string
  /** The version of MQTT; 5 where absent. */
  readonly version?: '5' | '3.1.1'
  readonly username?: string
  readonly password?: string
  readonly tls?: MqttTls
  /** `reflash-` and random digits where absent; brokers end the older of two connections that share one. */
  readonly clientId?: string
  /** What every topic begins with; `reflash` where absent. */
  readonly prefix?: string
}

export interface CheckedBroker {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  /** Without credentials. */
  readonly address: string
  readonly version: '5' | '3.1.1'
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: MqttTls | undefined
  readonly clientId: string | undefined
  readonly topics: Topics
}

const versions: readonly unknown[] = ['5', '3.1.1']
/** Characters; MQTT allows 65,535 bytes. */
const credentialLength = 4096

/** @throws `INVALID_OPTIONS`; never with a credential in it */
export function checkBroker(options: BrokerOptions): CheckedBroker {
  const { version = '5', username, password, tls, clientId, prefix = 'reflash' } = options
  const url = typeof options.url === 'string' ? URL.parse(options.url) : null
  const isTls = url?.protocol === 'mqtts:'
  const rest = url === null ? '' : `${url.search}${url.hash}${url.username}${url.password}${url.pathname.replace(/^\/$/, '')}`
  if (url === null || (url.protocol !== 'mqtt:' && !isTls) || url.hostname === '' || rest !== '') {
    throw coreError('INVALID_OPTIONS', 'url: expected mqtt(s)://host[:port] without credentials, path and query, found something else')
  }
  if (!versions.includes(version)) throw coreError('INVALID_OPTIONS', "version: expected '5' or '3.1.1', found another")
  for (const [name, value] of Object.entries({ username, password, clientId })) {
    if (value === undefined || (typeof value === 'string' && value !== '' && value.length <= credentialLength)) continue
    throw coreError('INVALID_OPTIONS', `${name}: expected text of 1 to ${credentialLength} letters, found something else`)
  }
  if (password !== undefined && username === undefined) {
    throw coreError('INVALID_OPTIONS', 'username: expected one beside the password (MQTT 3.1.1 demands it), found none')
  }
  if (tls !== undefined) checkTls(tls, isTls)
  const port = url.port === '' ? (isTls ? 8883 : 1883) : Number(url.port)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    isTls,
    address: `${url.protocol}//${url.hostname}:${port}`,
    version,
    username,
    password,
    tls,
    clientId,
    topics: topicsOf(prefix),
  }
}

function checkTls(tls: MqttTls, isTls: boolean): void {
  if (typeof tls !== 'object' || tls === null || Array.isArray(tls)) {
    throw coreError('INVALID_OPTIONS', 'tls: expected an object with ca, cert or key, found something else')
  }
  if (!isTls) throw coreError('INVALID_OPTIONS', 'url: expected mqtts:// where tls is given, found mqtt://')
  try {
    createSecureContext(secureOptions(tls))
  } catch (cause) {
    const message = 'tls: expected ca, cert and key in PEM that fit together, found some that OpenSSL refuses'
    throw coreError('INVALID_OPTIONS', message, { cause })
  }
}

/** As node:tls wants it. */
export function secureOptions({ ca, cert, key, passphrase, pinned }: MqttTls): ConnectionOptions {
  return {
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: ca as string }),
    ...(cert === undefined ? {} : { cert: cert as string }),
    ...(key === undefined ? {} : { key: key as string }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(pinned === undefined ? {} : pinnedTo(pinned)),
  }
}

function pinnedTo(pem: string | Uint8Array): ConnectionOptions {
  const { raw } = new X509Certificate(pem)
  return {
    ca: pem as string,
    // Its authority is often no part of the file.
    allowPartialTrustChain: true,
    checkServerIdentity: (_host, shown) =>
      raw.equals(shown.raw) ? undefined : new Error('expected the pinned certificate, found another'),
  }
}
