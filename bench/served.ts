import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildImage } from '@reflash/target-esp32'
import { runCommand } from '../scripts/gate/run-command.ts'
import { root } from '../scripts/workspaces.ts'
import { knownFleet } from './known-fleet.ts'
import { type MeasuredProcess, startProcess } from './measured-process.ts'

// What users install: from sources, the runtime's stripping of types would be measured too.
const reflash = [process.execPath, `${root}packages/cli/dist/main.js`]
const env = { COSIGN_PASSWORD: 'bench' }
export const product = 'bench'
export const devices = 200

async function cli(...args: readonly string[]): Promise<void> {
  const { code, output } = await runCommand([...reflash, ...args], { env })
  if (code !== 0) throw new Error(`reflash ${args.join(' ')} failed\n${output}`)
}

/** An ESP32-S3 image of exactly `sizeBytes` (a multiple of 16), all in one segment that is mapped from flash. */
function imageOf(sizeBytes: number, version: string): Uint8Array {
  // Header 24, segment header 8, padding with checksum 16, hash 32.
  const data = new Uint8Array(sizeBytes - 80).map((_, index) => (index * 31 + (index >> 8)) % 251)
  const image = buildImage({
    chip: 'esp32s3',
    segments: [{ loadAddress: 0x3c000020, data: data.subarray(256) }],
    appDescription: { version, projectName: 'bench' },
  })
  if (image.length !== sizeBytes) throw new Error(`expected an image of ${sizeBytes} bytes, built one of ${image.length}`)
  return image
}

export interface Served {
  readonly process: MeasuredProcess
  readonly url: string
  /** The folder that holds the image as image.bin, for other servers to serve. */
  readonly files: string
  release(version: string): Promise<void>
}

/**
 * Starts `reflash serve` on a signed release of an image of that size, with tokens for every device and a journal on disk. Releases lie in an
 * OCI layout in `folder`, unless another repository is named. More devices than the others have are a fleet, with a deployment.
 */
export async function serve(
  folder: string,
  sizeBytes: number,
  repository = `oci:${join(folder, 'layout')}`,
  known = devices,
): Promise<Served> {
  mkdirSync(folder, { recursive: true })
  const files = join(folder, 'files')
  const tokens = join(folder, 'tokens')
  mkdirSync(files)
  writeFileSync(tokens, Array.from({ length: known }, (_, n) => `d${n} bench-token-${n}\n`).join(''), { mode: 0o600 })
  await cli('keygen', '--output-key-prefix', join(folder, 'cosign'))
  const release = async (version: string) => {
    const file = join(files, 'image.bin')
    writeFileSync(file, imageOf(sizeBytes, version))
    await cli('push', `${repository}:${version}`, `${file}@esp32s3`, '--product', product)
    await cli('sign', `${repository}:${version}`, '--key', join(folder, 'cosign.key'))
  }
  await release('1.0.0')
  const store = join(folder, 'fleet.db')
  if (known > devices) {
    await release('1.1.0')
    await knownFleet(store, known, repository)
  }
  const rollout = known > devices ? ['--rollout', '--store', store] : []
  const options = ['--repository', repository, '--key', join(folder, 'cosign.pub'), '--tokens', tokens, '--product', product]
  const started = await startProcess(
    [...reflash, 'serve', ...options, ...rollout, '--state', join(folder, 'state'), '--listen', '127.0.0.1:0'],
    (printed) => /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0],
    env,
  )
  return { process: started.process, url: started.ready, files, release }
}
