import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a device and its server as a slow line does, until it is let go. */
export interface SlowProxy extends AsyncDisposable {
  readonly url: string
  /** Bytes that the greatest of its connections has brought to the device. */
  readonly brought: number
  /** From now on it is as fast as it can. */
  hurry(): void
}

/** What a connection brings at full speed, before it slows down: all but an image. Bytes. */
const fastBytes = 64 * 1024
/** 320 kB/s. */
const [sliceBytes, sliceMs] = [6_400, 20]

export async function slowProxy(to: string): Promise<SlowProxy> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  let isSlow = true
  let greatest = 0

  async function bring(device: Socket, upstream: Socket): Promise<void> {
    let brought = 0
    for await (const chunk of upstream as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; ) {
        const isPaced = isSlow && brought > fastBytes
        const part = chunk.subarray(at, isPaced ? at + sliceBytes : chunk.length)
        if (isPaced) await new Promise((resolve) => setTimeout(resolve, sliceMs))
        if (device.destroyed) return
        if (!device.write(part)) await Promise.race([once(device, 'drain'), once(device, 'close')])
        at += part.length
        brought += part.length
        greatest = Math.max(greatest, brought)
      }
    }
  }

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
    bring(device, upstream).catch(() => device.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get brought() {
      return greatest
    },
    hurry() {
      isSlow = false
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
