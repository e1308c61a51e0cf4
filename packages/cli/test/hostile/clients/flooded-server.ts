import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { demoImage } from '@reflash/target-esp32/testing'

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const config = fileURLToPath(new URL('child/flooded.config.ts', import.meta.url))

/** What devices run, and what strangers with a token of their own ask for: more than any kernel buffers for one connection. */
export const chips = { devices: 'esp32s3', strangers: 'esp32' } as const
const imageBytes = { devices: 128 * 1024, strangers: 12 * 1024 * 1024 }

/** `reflash serve` in a process of its own. */
export interface FloodedServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Devices whose update the server has seen confirmed. */
  readonly confirmed: ReadonlySet<string>
  /** The most that was resident since the last call, in MiB. */
  peakMiB(): number
}

export const tokenOf = (id: string): string => `token-of-${id}`

/** Signs one release for devices and strangers, and serves it. */
export async function floodedServer(folder: string, deviceIds: readonly string[]): Promise<FloodedServer> {
  const repository = `oci:${join(folder, 'layout')}`
  const { privateKeyPem, publicKeyPem } = await generateKeyPair('a password of a test')
  const key = await openKey(privateKeyPem, 'a password of a test')
  const registry = ociRegistry()
  const files = (['devices', 'strangers'] as const).map((who) => ({
    title: `${who}.bin`,
    platform: { os: 'custom', architecture: chips[who] },
    bytes: demoImage({ chip: chips[who], version: '1.0.0', sizeBytes: imageBytes[who] }),
  }))
  const { root } = await pushArtifact(registry, `${repository}:1.0.0`, files, { version: '1.0.0', product: 'lamp', created: new Date(0) })
  await signArtifact(registry, `${repository}@${root.digest}`, key)
  await registry.close()
  const state = join(folder, 'state')
  await mkdir(state)
  const [keyFile, tokens] = [join(folder, 'cosign.pub'), join(folder, 'tokens')]
  await writeFile(keyFile, publicKeyPem)
  await writeFile(tokens, deviceIds.map((id) => `${id} ${tokenOf(id)}\n`).join(''), { mode: 0o600 })
  const flags = ['--repository', repository, '--key', keyFile, '--tokens', tokens, '--product', 'lamp', '--state', state]
  const args = ['--conditions=@reflash/source', main, 'serve', ...flags, '--config', config, '--listen', '127.0.0.1:0', '--json']
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, REFLASH_FLOODED_STATE: state },
  })
  return watched(child, await listening(child))
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`reflash serve ended with ${code} before it listened`)))
    let printed = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      const url = /http:\/\/[\d.]+:\d+/.exec(printed)?.[0]
      if (url !== undefined) resolve(url)
    })
  })
}

function watched(child: ChildProcess, url: string): FloodedServer {
  const confirmed = new Set<string>()
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
    if (!line.startsWith('{')) process.stderr.write(`${line}\n`)
    else if (line.includes('"device confirm passed"')) confirmed.add((JSON.parse(line) as { deviceId: string }).deviceId)
  })
  const status = (): string => readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return {
    url,
    host: new URL(url).hostname,
    port: Number(new URL(url).port),
    confirmed,
    peakMiB: () => Math.round(Number(/VmHWM:\s+(\d+)/.exec(status())?.[1]) / 1024),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await once(child, 'exit')
      clearTimeout(patience)
    },
  }
}
