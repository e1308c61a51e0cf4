import { get } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { crc32, digestOf, OtaError } from '@reflash/core'
import type { PullingDevice } from './esp32-device.ts'
import { boardImage } from './memory-board.ts'

/** A device of OtaFlux: two requests, nothing reported. Other than the published client it looks at the CRC-32 that it is told. */
export function otafluxDevice(id: string): PullingDevice {
  let running = { bytes: boardImage('1.0.0') as Uint8Array, version: '1.0.0' }
  return {
    deviceId: id,
    accepted: [],
    truth: () => ({ digest: digestOf(running.bytes), isKept: true }),
    async visit(url) {
      const [version = '', crc = '', size = ''] = Buffer.from(await bytesOf(`${url}/version?device=${id}`))
        .toString()
        .split('\n')
      if (version === running.version) return
      const bytes = await bytesOf(`${url}/firmware?device=${id}`)
      if (bytes.length !== Number(size) || crc32(bytes) !== Number(crc))
        throw new Error(`${id}: expected ${size} bytes, CRC-32 ${crc}; found others`)
      running = { bytes, version }
    },
    close() {},
  }
}

function bytesOf(url: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new OtaError('SERVER_UNREACHABLE', 'unavailable', error.message, { cause: error }))
    get(url, { agent: false }, (response) => {
      const status = response.statusCode ?? 0
      buffer(response).then((body) => {
        if (status === 200) resolve(new Uint8Array(body))
        else if (status >= 500) fail(new Error(`${url}: ${status}`))
        else reject(new Error(`${url}: ${status} ${body.toString()}`))
      }, fail)
    }).on('error', fail)
  })
}
