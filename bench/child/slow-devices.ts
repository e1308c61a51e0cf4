import { get, type IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

// Downloads one image as many OtaFlux devices at once, each no faster than its link: [server] [devices] [bytes per second].
const [server = '', devices = '', rate = ''] = process.argv.slice(2)
const bytesPerSecond = Number(rate)

function ask(path: string, device: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer bench-token-${device}` }
    const request = get(`${server}${path}?device=d${device}`, { headers, agent: false }, (response) => {
      if (response.statusCode === 200) resolve(response)
      else reject(new Error(`${path} of device ${device}: status ${response.statusCode}`))
    })
    request.on('error', reject)
  })
}

async function download(device: number): Promise<number> {
  for await (const _ of await ask('/version', device));
  const response = await ask('/firmware', device)
  const start = performance.now()
  let bytes = 0
  for await (const chunk of response) {
    bytes += (chunk as Uint8Array).length
    const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - start)
    if (aheadMs > 0) await pause(aheadMs)
  }
  return bytes
}

const start = performance.now()
const sizes = await Promise.all(Array.from({ length: Number(devices) }, (_, device) => download(device)))
const bytes = sizes.reduce((sum, size) => sum + size, 0)
console.log(JSON.stringify({ devices: sizes.length, bytes, seconds: (performance.now() - start) / 1000 }))
