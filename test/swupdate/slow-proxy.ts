import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts'

/** Is as slow as a bad line, until it is let go. */
export interface SlowProxy extends TcpProxy {
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

  const proxy = await tcpProxy(to, (device, upstream) => {
    bring(device, upstream).catch(() => device.destroy())
  })
  return {
    ...proxy,
    get brought() {
      return greatest
    },
    hurry() {
      isSlow = false
    },
  }
}
