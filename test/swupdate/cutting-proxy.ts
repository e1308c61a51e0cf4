import { type TcpProxy, tcpProxy } from './tcp-proxy.ts'

/** Cuts the connection once it has brought so many bytes; once in its life. */
export interface CuttingProxy extends TcpProxy {
  /** Connections that were cut. */
  readonly cuts: number
}

export async function cuttingProxy(to: string, cutAfterBytes: number): Promise<CuttingProxy> {
  let cuts = 0
  const proxy = await tcpProxy(to, (device, upstream) => {
    let brought = 0
    upstream.on('data', (chunk: Buffer) => {
      brought += chunk.length
      if (cuts === 0 && brought >= cutAfterBytes) {
        cuts += 1
        // What was brought before the cut reaches the device; then nothing more, as when a radio cell is left.
        device.end(chunk.subarray(0, chunk.length - (brought - cutAfterBytes)))
        upstream.destroy()
      } else device.write(chunk)
    })
  })
  return {
    ...proxy,
    get cuts() {
      return cuts
    },
  }
}
