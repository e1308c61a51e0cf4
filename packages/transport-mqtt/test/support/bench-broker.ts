import { randomBytes } from 'node:crypto'
import { tokenDevices } from '@reflash/core'
import type { Caller, KnownDevice } from '@reflash/core/conformance'
import { embeddedBroker } from '../../src/broker/index.ts'
import type { BrokerOptions } from '../../src/index.ts'

type Login = Pick<BrokerOptions, 'username' | 'password'>

/** Who everybody is at a broker that asks for nothing but a password: the token in a message says who a device is. */
export const secrets = { username: 'reflash-server', password: 'a-password-that-nobody-sees' }

/** A broker with a prefix of its own, as one instance of the suite sees it. */
export interface BenchBroker {
  readonly place: Pick<BrokerOptions, 'url'> & Required<Pick<BrokerOptions, 'version' | 'prefix'>>
  /** How the server comes in. */
  readonly server: Login
  /** How a device comes in. */
  loginOf(caller: Caller): Login
  dispose(): Promise<void>
}

/** Makes the broker of one instance, to which so many devices are known. */
export type MakeBroker = (devices: readonly KnownDevice[]) => Promise<BenchBroker>

const anyPrefix = (): string => `t-${randomBytes(6).toString('hex')}`

/** All share one broker, each with a prefix of its own. */
export function sharedBroker(url: string, version: '5' | '3.1.1'): MakeBroker {
  return async () => ({ place: { url, version, prefix: anyPrefix() }, server: secrets, loginOf: () => secrets, dispose: async () => {} })
}

/** Each has an embedded broker of its own, which knows the devices by their tokens and keeps them apart. */
export const ownBroker: MakeBroker = async (devices) => {
  const known = tokenDevices(Object.fromEntries(devices.map(({ id, token }) => [id, token])))
  const broker = await embeddedBroker({ listen: '127.0.0.1:0', authenticators: [known], prefix: anyPrefix() })
  const { username, password, ...place } = broker.server
  return {
    place,
    server: { username, password },
    loginOf: ({ id, token }) => ({ username: id, ...(token === undefined ? {} : { password: token }) }),
    dispose: async () => broker[Symbol.asyncDispose](),
  }
}
