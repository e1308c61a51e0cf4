import { type MqttClientOptions, type MqttComponent, mqttClient } from '@reflash/transport-mqtt/client'
import { fail } from '../cli-errors.ts'
import type { OfferedImage, ReceivedAnswer, ServerConnection } from './update-server.ts'

/** The update server behind a broker, over reflash's own protocol. @throws `INVALID_OPTIONS` */
export function mqttServer(options: MqttClientOptions): ServerConnection {
  const client = mqttClient(options)
  // By what name an image is asked for is this protocol's affair: the agent does not see it.
  const components = new WeakMap<OfferedImage, MqttComponent>()

  function received(component: MqttComponent): OfferedImage {
    const { component: name, digest, size, crc32, coding, base } = component
    if (coding !== undefined || base !== undefined)
      throw fail('DEVICE_UNSUPPORTED', `expected a whole image, found one coded as ${coding ?? 'a delta'}`)
    const image = { component: name, digest, size, crc32 }
    components.set(image, component)
    return image
  }

  return {
    async checkIn(self, signal): Promise<ReceivedAnswer> {
      const { offer, cancel, wants = [], pollAfterMs, because } = await client.checkIn(self, { signal })
      return {
        ...(offer === undefined ? {} : { offer: { seq: offer.seq, version: offer.version, images: offer.components.map(received) } }),
        ...(cancel === undefined ? {} : { cancel }),
        wantsEvidence: wants.includes('evidence'),
        pollAfterMs,
        because,
      }
    },
    download: (offer, image, offset, signal) => client.download(offer, components.get(image) as MqttComponent, { offset, signal }),
    report: (seq, report, signal) => client.report(seq, report, { signal }),
    close: client.close,
  }
}
