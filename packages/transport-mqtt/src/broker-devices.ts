import type { Authenticator } from '@reflash/core'

/**
 * Authenticates devices by the topic that they publish under. What is trusted then is the broker: that it lets nobody publish under
 * `{prefix}/v1/up/{id}/` but the holder of that device's credentials. A broker without an access list lets anybody be any device.
 * It vouches for nothing that came another way than over MQTT.
 */
export function brokerDevices(): Authenticator {
  return Object.freeze<Authenticator>({
    kind: 'authenticator',
    name: 'broker-devices',
    spec: 0,
    opens: 'over MQTT a device is who its topic says: the broker must let each publish under its own id only',
    authenticate: ({ topicId }) => (topicId === undefined ? undefined : { deviceId: topicId, by: 'broker' }),
  })
}
