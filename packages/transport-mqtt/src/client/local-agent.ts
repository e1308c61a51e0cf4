import type { AgentPort, Evidence } from '@reflash/core'

/** What a device lets servers do to it: its own `agent` port, and what goes with it. */
export interface LocalAgent {
  readonly port: AgentPort
  /** What the device shows for a challenge, where it can prove what it runs. */
  evidence?(challenge: Uint8Array): Promise<Evidence>
  /** Called once the word that the new image is selected has gone out: time to restart. */
  activated?(): void | Promise<void>
}
