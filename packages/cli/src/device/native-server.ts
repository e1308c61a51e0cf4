import { type NativeClientOptions, type NativeComponent, nativeClient } from '@reflash/transport-http/client'
import { fail } from '../cli-errors.ts'
import type { OfferedImage, ReceivedAnswer, ServerConnection } from './update-server.ts'

/** The update server behind reflash's own protocol over HTTP. */
export interface NativeServer extends ServerConnection {
  close(): void
}

/** @throws `INVALID_OPTION` */
export function nativeServer(options: NativeClientOptions): NativeServer {
  const client = nativeClient(options)
  // Where an image is downloaded is this protocol's affair: the agent does not see it.
  const places = new WeakMap<OfferedImage, NativeComponent>()

  function received(component: NativeComponent): OfferedImage {
    const { component: name, digest, size, crc32, coding, base } = component
    if (coding !== undefined || base !== undefined)
      throw fail('DEVICE_UNSUPPORTED', `expected a whole image, found one coded as ${coding ?? 'a delta'}`)
    const image = { component: name, digest, size, crc32 }
    places.set(image, component)
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
    download: (_offer, image, offset, signal) => client.download(places.get(image) as NativeComponent, { offset, signal }),
    report: (seq, report, signal) => client.report(seq, report, { signal }),
    close: client.close,
  }
}
