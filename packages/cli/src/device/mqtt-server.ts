import { type MqttClientOptions, type MqttComponent, mqttClient } from '@reflash/transport-mqtt/client'
import { offeredComponents } from './offered-components.ts'
import type { ServerConnection } from './update-server.ts'

/** The update server behind a broker, over reflash's own protocol. @throws `INVALID_OPTIONS` */
export function mqttServer(options: MqttClientOptions): ServerConnection {
  const client = mqttClient(options)
  const offered = offeredComponents<MqttComponent>()
  return {
    checkIn: async (self, signal) => offered.received(await client.checkIn(self, { signal })),
    download: (offer, image, offset, signal) => client.download(offer, offered.of(image), { offset, signal }),
    report: (seq, report, signal) => client.report(seq, report, { signal }),
    close: client.close,
  }
}
