import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a device and its server, and cuts the connection once it has brought so many bytes; once in its life. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string
  /** Connections that were cut. */
  readonly cuts: number
}

export async function cuttingProxy(to: string, cutAfterBytes: number): Promise<CuttingProxy> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  let cuts = 0
  const server = createServer((device) => {
    const upstream = connect(Number(port), hostname)
    let brought = 0
    for (const socket of [device, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        device.destroy()
        upstream.destroy()
      })
    }
    device.pipe(upstream)
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
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
