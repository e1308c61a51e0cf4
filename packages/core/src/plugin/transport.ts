import type { Authenticator } from './authenticator.ts'
import type { Device } from './device.ts'
import type { Gateway } from './gateway.ts'
import type { CallOptions, Plugin } from './plugin.ts'
import type { Connection, Ports } from './ports.ts'

/** What a pull transport serves: the gateway, who may use it, and where its records go. */
export interface ServeContext {
  readonly gateway: Gateway
  readonly authenticators: readonly Authenticator[]
}

/** A way to devices. A push transport has `connect`, a pull transport `serve`. */
export interface Transport<K extends keyof Ports = keyof Ports> extends Plugin<'transport'> {
  /** The port that `connect` yields. */
  readonly uses?: K
  connect?(device: Device, options?: CallOptions): Promise<Connection<K>>
  serve?(context: ServeContext, options?: CallOptions): Promise<Serving>
}

/** A transport that serves; disposing drains it. */
export interface Serving extends AsyncDisposable {
  /** Where it can be reached, one URL each. */
  readonly addresses: readonly string[]
}
