import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a device and its server. */
export interface TcpProxy extends AsyncDisposable {
  readonly url: string
}

/** What the device sends goes through as it is; what its server brings is in the hands of `bring`, once for each connection. */
export async function tcpProxy(to: string, bring: (device: Socket, upstream: Socket) => void): Promise<TcpProxy> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  const server = createServer((device) => {
    const upstream = connect(Number(port), hostname)
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
    bring(device, upstream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
