import type { Digest } from '../content/digest.ts'
import type { DeviceState, Principal } from './device.ts'
import type { Evidence } from './evidence-verifier.ts'
import type { RunContext } from './plugin.ts'

/** What a transport can offer to a target's driver. Extended by declaration merging: the target knows layout and order, the transport the wire. */
export interface Ports {
  flash: FlashPort
  agent: AgentPort
}

/** Raw flash behind a cable or a debug probe. Offsets and lengths in bytes. */
export interface FlashPort extends AsyncDisposable {
  readonly deviceId: string
  /** Bytes of the flash, where the wire can tell: a layout that goes beyond them is none. */
  readonly flashBytes?: number
  read(offset: number, length: number, context: RunContext): Promise<Uint8Array>
  /** Whole erase blocks; afterwards every byte reads 0xFF. */
  erase(offset: number, length: number, context: RunContext): Promise<void>
  /** NOR semantics: bits only go from 1 to 0. */
  write(offset: number, bytes: Uint8Array, context: RunContext): Promise<void>
  md5?(offset: number, length: number, context: RunContext): Promise<Uint8Array>
  reset(context: RunContext): Promise<void>
}

/** An agent on the device which stores and activates by itself. */
export interface AgentPort extends AsyncDisposable {
  readonly deviceId: string
  readonly maxChunkBytes: number
  /** Announces an image; `offset` says how much of exactly this image the device already has. */
  begin(image: { readonly digest: Digest; readonly size: number }, context: RunContext): Promise<{ readonly offset: number }>
  write(offset: number, bytes: Uint8Array, context: RunContext): Promise<void>
  missing?(context: RunContext): AsyncIterable<{ readonly offset: number; readonly length: number }>
  /**
   * Resolves once the device has durably taken the whole, checked image for its next start, which it then makes by itself. The old firmware may
   * go on answering until it has restarted: a `status` of the old image after this is no failure within the policy's `bootGraceMs`.
   */
  activate(context: RunContext): Promise<void>
  /** What runs as this is answered, which after `activate` may still be the old firmware. */
  status(context: RunContext): Promise<DeviceState>
}

/** A way to one device, until it is disposed: its port, who is at the other end, and its evidence, where the wire can carry any. */
export interface Connection<K extends keyof Ports> extends AsyncDisposable {
  readonly port: Ports[K]
  readonly principal: Principal
  evidence?(challenge: Uint8Array, context: RunContext): Promise<Evidence>
}
