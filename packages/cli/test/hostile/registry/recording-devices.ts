import { createHash } from 'node:crypto'
import type { ByteStream, FlashPort, Transport } from '@reflash/core'
import { flashPort, memoryFlash, type NorFlash, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { deviceAgent, type Outcome } from '../../../src/device/device-agent.ts'
import type { Remembered } from '../../../src/device/device-memory.ts'
import { type NativeServer, nativeServer } from '../../../src/device/native-server.ts'
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
  /** Bytes of an image that are not those of a verified one at their place. */
  strange: number
}

const nothing = (): Recorded => ({ offered: [], sent: [], bytes: 0, flashed: 0, strange: 0 })

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

/** Slots begin here in every table of ESP-IDF; before it lie the bootloader, the table and otadata. */
const appsFrom = 0x10000

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
  /** One check-in, with the whole update where one is offered. @throws what the server's calls throw; `ABORTED` once `signal` has fired */
  checkIn(signal?: AbortSignal): Promise<Outcome>
  /** Finds the server at another address from now on. */
  connect(url: string): void
  /** Called as bytes of an image come. */
  onBytes: () => void
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
  /** By digest, images of which bytes may come. */
  readonly verified?: ReadonlyMap<string, Uint8Array>
}): PullingDevice {
  const { id, token, verified } = options
  const { device, recorded, reset } = recordingEsp32(id, options.image)
  let { url } = options
  // Pauses between attempts pass at once: only their number counts here.
  const reach = (): NativeServer => nativeServer({ server: url, deviceId: id, token, sleep: async () => {} })
  let server = reach()
  let memory: Remembered = { versions: {} }
  let onBytes = (): void => {}
  async function* received(stream: ByteStream, digest: string, offset: number): ByteStream {
    const right = verified?.get(digest)
    let at = offset
    const hash = createHash('sha256')
    let whole = false
    try {
      for await (const chunk of stream) {
        recorded().bytes += chunk.length
        if (verified !== undefined && right?.subarray(at, at + chunk.length).every((byte, index) => byte === chunk[index]) !== true)
          recorded().strange += chunk.length
        at += chunk.length
        hash.update(chunk)
        onBytes()
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
      report: (...call) => server.report(...call),
      async checkIn(self, signal) {
        const answer = await server.checkIn(self, signal)
        if (answer.offer !== undefined) recorded().offered.push(...answer.offer.images.map(({ digest }) => digest))
        return answer
      },
      download: async (offer, image, offset, signal) => received(await server.download(offer, image, offset, signal), image.digest, offset),
    },
    selfTest: () => true,
    now: () => new Date(0),
  })
  return {
    device,
    recorded,
    reset,
    checkIn: (signal = new AbortController().signal) => agent.checkIn(signal),
    connect(next) {
      server.close()
      url = next
      server = reach()
    },
    get onBytes() {
      return onBytes
    },
    set onBytes(next) {
      onBytes = next
    },
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
    close: () => server.close(),
  }
}

export interface PushedDevice {
  readonly device: VirtualEsp32
  readonly recorded: () => Recorded
  reset(): void
  /** Called before a write. */
  onBytes: () => void
  readonly transport: Transport
}

/** A device at a cable; what is written to its flash is counted. */
export function pushedDevice(id: string, image: Uint8Array, verified?: ReadonlyMap<string, Uint8Array>): PushedDevice {
  const { device, recorded, reset } = recordingEsp32(id, image)
  const images = verified === undefined ? undefined : [...verified.values()].map((bytes) => Buffer.from(bytes))
  let onBytes = (): void => {}
  const port = (): FlashPort => {
    const inner = flashPort(device)
    return {
      ...inner,
      async write(offset, bytes, context) {
        onBytes()
        recorded().bytes += bytes.length
        if (offset >= appsFrom && images?.some((right) => right.includes(Buffer.from(bytes))) === false) recorded().strange += bytes.length
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
  return {
    device,
    recorded,
    reset,
    get onBytes() {
      return onBytes
    },
    set onBytes(next) {
      onBytes = next
    },
    transport: transport as Transport,
  }
}
