import type { Principal } from './device.ts'
import type { Plugin, RunContext } from './plugin.ts'

/** What a transport saw of its peer. */
export interface Credentials {
  /** The verified client certificate, DER. */
  readonly certificate?: Uint8Array
  /** A bearer token or password. */
  readonly token?: string
  /** The device id that the request speaks of. */
  readonly claimedId?: string
  /** The device id in the topic of a message. A broker with an access list vouches for it; the message alone proves nothing. */
  readonly topicId?: string
  /** Address of the peer, for the record only. */
  readonly peer?: string
}

/** Says who is at the other end; undefined where it cannot tell. */
export interface Authenticator extends Plugin<'authenticator'> {
  authenticate(seen: Credentials, context: Pick<RunContext, 'signal'>): Promise<Principal | undefined> | Principal | undefined
}
