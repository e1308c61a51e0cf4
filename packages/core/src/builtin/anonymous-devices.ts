import { isDeviceId } from '../content/device-id.ts'
import type { Authenticator } from '../plugin/authenticator.ts'

/** Believes every device id that a request claims, visibly. */
export function anonymousDevices(): Authenticator {
  return Object.freeze({
    kind: 'authenticator',
    name: 'anonymous-devices',
    spec: 0,
    opens: "devices need no credentials: anybody who reaches the server gets any device's offer and can report for it",
    authenticate: ({ claimedId }) => (isDeviceId(claimedId) ? { deviceId: claimedId, by: 'anonymous' as const } : undefined),
  } satisfies Authenticator)
}
