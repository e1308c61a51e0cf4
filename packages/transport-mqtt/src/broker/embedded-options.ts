import { createSecureContext } from 'node:tls'
import { type Authenticator, coreError } from '@reflash/core'
import { isTopic, type Topics, topicsOf } from '../topics.ts'

export interface EmbeddedBrokerOptions {
  /** Who may connect: user name the device's id, password its token. */
  readonly authenticators: readonly Authenticator[]
  /** `host:port`; port 0 takes any free one. `127.0.0.1:1883` where absent, so that nothing is open to a network unasked. */
  readonly listen?: string
  /** Certificate and key of the broker, PEM. */
  readonly tls?: { readonly cert: string | Uint8Array; readonly key: string | Uint8Array }
  /** As the transport's; `reflash` where absent. */
  readonly prefix?: string
  /** As the transport's: a device may subscribe to its own notice below it. */
  readonly otafluxTopic?: string
}

export interface CheckedEmbedded {
  readonly authenticators: readonly Authenticator[]
  readonly tls: EmbeddedBrokerOptions['tls'] | undefined
  readonly otafluxTopic: string | undefined
  readonly host: string
  readonly port: number
  readonly prefix: string
  readonly topics: Topics
}

/** @throws `INVALID_OPTIONS` */
export function checkEmbedded(options: EmbeddedBrokerOptions): CheckedEmbedded {
  const { authenticators, listen = '127.0.0.1:1883', tls, prefix = 'reflash', otafluxTopic } = options
  if (!Array.isArray(authenticators)) throw coreError('INVALID_OPTIONS', 'authenticators: expected a list of authenticators, found none')
  if (otafluxTopic !== undefined && !isTopic(otafluxTopic)) {
    throw coreError('INVALID_OPTIONS', 'otafluxTopic: expected a topic without wildcards and without a slash at its end, found another')
  }
  if (tls !== undefined) checkTls(tls)
  return { authenticators, tls, prefix, otafluxTopic, topics: topicsOf(prefix), ...addressOf(listen) }
}

function checkTls(tls: NonNullable<EmbeddedBrokerOptions['tls']>): void {
  try {
    const { cert, key } = tls
    if (cert === undefined || key === undefined) throw new TypeError('one of both is missing')
    createSecureContext({ cert: cert as string, key: key as string })
  } catch (cause) {
    throw coreError('INVALID_OPTIONS', 'tls: expected cert and key in PEM that fit together, found some that OpenSSL refuses', { cause })
  }
}

function addressOf(listen: string): { readonly host: string; readonly port: number } {
  const found = typeof listen !== 'string' ? null : /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(listen)
  const port = Number(found?.[3])
  const host = found?.[1] ?? found?.[2]
  if (host !== undefined && port <= 65_535) return { host, port }
  throw coreError('INVALID_OPTIONS', 'listen: expected host:port such as 127.0.0.1:1883, found something else')
}
