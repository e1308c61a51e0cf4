import { type NativeClientOptions, type NativeComponent, nativeClient } from '@reflash/transport-http/client'
import { offeredComponents } from './offered-components.ts'
import type { ServerConnection } from './update-server.ts'

/** The update server behind reflash's own protocol over HTTP. */
export interface NativeServer extends ServerConnection {
  close(): void
}

/** @throws `INVALID_OPTION` */
export function nativeServer(options: NativeClientOptions): NativeServer {
  const client = nativeClient(options)
  const offered = offeredComponents<NativeComponent>()
  return {
    checkIn: async (self, signal) => offered.received(await client.checkIn(self, { signal })),
    download: (_offer, image, offset, signal) => client.download(offered.of(image), { offset, signal }),
    report: (seq, report, signal) => client.report(seq, report, { signal }),
    close: client.close,
  }
}
