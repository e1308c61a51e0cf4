import { createHash } from 'node:crypto'
import type { ByteStream, FlashPort, Transport } from '@reflash/core'
import { flashPort, memoryFlash, type NorFlash, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { deviceAgent, type Outcome } from '../../../src/device/device-agent.ts'
import type { Remembered } from '../../../src/device/device-memory.ts'
import { nativeServer } from '../../../src/device/native-server.ts'
import { virtualHardware } from '../../../src/device/virtual-hardware.ts'
import { chip } from './lamp-releases.ts'

/** Everything that a device was offered, sent and written with. */
export interface Recorded {
  readonly offered: string[]
  /** Digest of each image that was sent whole, or `cut`. */
  readonly sent: string[]
  bytes: number
  /** Erases and writes of its flash. */
  flashed: number
}

const nothing = (): Recorded => ({ offered: [], sent: [], bytes: 0, flashed: 0 })

function watchedFlash(recorded: () => Recorded): NorFlash {
  const flash = memoryFlash()
  const counted =
    <A extends unknown[]>(act: (...args: A) => void) =>
    (...args: A): void => {
      recorded().flashed += 1
      act(...args)
    }
  return { ...flash, erase: counted(flash.erase), write: counted(flash.write) }
}

/** A device that runs `image`, and forgets what it recorded when `reset` is called. */
function recordingEsp32(id: string, image: Uint8Array) {
  let recorded = nothing()
  const device = virtualEsp32({ chip, id, flash: watchedFlash(() => recorded) })
  device.provision(image)
  device.boot()
  const reset = (): void => {
    recorded = nothing()
  }
  reset()
  return { device, recorded: () => recorded, reset }
}

export interface PullingDevice {
  readonly device: VirtualEsp32
  readonly recorded: () => Recorded
  reset(): void
  /** One check-in, with the whole update where one is offered. @throws what the server's calls throw */
  checkIn(): Promise<Outcome>
  /** Asks at every door that serves images, whatever was offered. */
  tryDoors(): Promise<void>
  close(): void
}

/** A device with a token, over real HTTP. */
export function pullingDevice(options: {
  readonly url: string
  readonly id: string
  readonly token: string
  readonly image: Uint8Array
}): PullingDevice {
  const { url, id, token } = options
  const { device, recorded, reset } = recordingEsp32(id, options.image)
  const server = nativeServer({ server: url, deviceId: id, token })
  let memory: Remembered = { versions: {} }
  async function* received(stream: ByteStream): ByteStream {
    const hash = createHash('sha256')
    let whole = false
    try {
      for await (const chunk of stream) {
        recorded().bytes += chunk.length
        hash.update(chunk)
        yield chunk
      }
      whole = true
    } finally {
      recorded().sent.push(whole ? `sha256:${hash.digest('hex')}` : 'cut')
    }
  }
  const agent = deviceAgent({
    hardware: virtualHardware(device),
    memory: {
      read: () => memory,
      write: (next) => {
        memory = structuredClone(next)
      },
    },
    server: {
      ...server,
      async checkIn(self, signal) {
        const answer = await server.checkIn(self, signal)
        if (answer.offer !== undefined) recorded().offered.push(...answer.offer.images.map(({ digest }) => digest))
        return answer
      },
      download: async (offer, image, offset, signal) => received(await server.download(offer, image, offset, signal)),
    },
    selfTest: () => true,
    now: () => new Date(0),
  })
  return {
    device,
    recorded,
    reset,
    checkIn: () => agent.checkIn(new AbortController().signal),
    async tryDoors() {
      const numbers = [1, 2, 3].map((seq) => `/v1/devices/${id}/offers/${seq}/images/image`)
      const doors = [...numbers, `/version?device=${id}`, `/firmware?device=${id}`]
      for (const door of doors) {
        const answer = await fetch(url + door, { headers: { Authorization: `Bearer ${token}` } })
        const body = new Uint8Array(await answer.arrayBuffer())
        if (!answer.ok) continue
        recorded().bytes += body.length
        recorded().sent.push(door.startsWith('/version') ? body.toString() : `sha256:${createHash('sha256').update(body).digest('hex')}`)
      }
    },
    close: server.close,
  }
}

export interface PushedDevice {
  readonly device: VirtualEsp32
  readonly recorded: () => Recorded
  reset(): void
  readonly transport: Transport
}

/** A device at a cable; what is written to its flash is counted. */
export function pushedDevice(id: string, image: Uint8Array): PushedDevice {
  const { device, recorded, reset } = recordingEsp32(id, image)
  const port = (): FlashPort => {
    const inner = flashPort(device)
    return {
      ...inner,
      async write(offset, bytes, context) {
        recorded().bytes += bytes.length
        await inner.write(offset, bytes, context)
      },
    }
  }
  const transport: Transport<'flash'> = {
    kind: 'transport',
    name: 'cable',
    spec: 0,
    uses: 'flash',
    connect: async () => ({ port: port(), principal: { deviceId: id, by: 'gateway' }, async [Symbol.asyncDispose]() {} }),
  }
  return { device, recorded, reset, transport: transport as Transport }
}
