import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { serialTransport } from '../src/index.ts'
import { memoryFlash, seededBytes, serveRom, virtualEsp32, virtualRom } from '../src/testing/index.ts'

// Writing and verifying 1 MiB over a link that is paced at 921,600 baud, compression on, beside the time that 1 MiB takes on that link. The chip is a
// process of its own; its flash takes no time to erase, as no flash does.
const baud = 921_600
const mebibyte = 1024 * 1024

if (process.send !== undefined) {
  await using line = await serveRom(virtualRom(virtualEsp32({ chip: 'esp32s3', flash: memoryFlash() })), { paced: true })
  process.send(line.address)
  await once(process, 'disconnect')
} else await measure()

/** Firmware as it is, where the vectors are there; else code-like filler that packs alike, to about 0.7. */
function firmware(): { readonly bytes: Uint8Array; readonly from: string } {
  const folder = process.env.REFLASH_VECTORS ?? join(import.meta.dirname, '../../../../shared/vectors')
  const path = join(folder, 'esp32/wled/WLED_0.14.2-b1_ESP32-S3_8MB.bin')
  if (existsSync(path)) return { bytes: new Uint8Array(readFileSync(path)).subarray(0, mebibyte), from: 'WLED 0.14.2' }
  const random = seededBytes(1)
  const bytes = new Uint8Array(mebibyte)
  for (let at = 0; at < mebibyte; at += 1024) bytes.set(random(700), at)
  return { bytes, from: 'filler' }
}

async function measure(): Promise<void> {
  const chip = fork(import.meta.filename, { execArgv: ['--conditions=@reflash/source'], stdio: 'inherit' })
  const [address] = (await once(chip, 'message')) as [string]
  const { bytes, from } = firmware()
  const connection = await serialTransport({ port: address, baud }).connect({ id: 'bench' })
  const { port } = connection
  const context = { signal: new AbortController().signal, now: new Date() }
  const [start, cpu] = [performance.now(), process.cpuUsage()]
  const block = 0x1_0000
  for (let at = 0; at < bytes.length; at += block) {
    await port.erase(0x10_0000 + at, block, context)
    await port.write(0x10_0000 + at, bytes.subarray(at, at + block), context)
  }
  await port.md5(0x10_0000, bytes.length, context)
  const seconds = (performance.now() - start) / 1000
  const used = process.cpuUsage(cpu)
  await connection[Symbol.asyncDispose]()
  chip.disconnect()
  const paceSeconds = (bytes.length * 10) / baud
  const packed = deflateSync(bytes, { level: 9 }).length / bytes.length
  const result = {
    ratio: paceSeconds / seconds,
    seconds,
    paceSeconds,
    packed,
    cpuMs: (used.user + used.system) / 1000,
    from,
    retries: port.retries,
  }
  if (process.argv.includes('--json')) console.log(JSON.stringify(result))
  else console.log(result)
}
