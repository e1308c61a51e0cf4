import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { annotations, digestOf, mediaTypes, streamOf } from '@reflash/core'
import { ociRegistry } from '@reflash/registry-oci'
import { expect, test } from 'vitest'
import { peersAreHere, startDockerRegistry } from '../../../registry-oci/test/docker-registry.ts'
import { runReflash, startReflash, temporaryFolder } from '../testing/run-reflash.ts'

const root = new URL('../../../../', import.meta.url).pathname
const wled = join(process.env.REFLASH_VECTORS ?? join(root, '../shared/vectors'), 'esp32/wled')
const files = { esp32: 'ESP32', esp32s2: 'ESP32-S2', esp32s3: 'ESP32-S3_8MB', esp32c3: 'ESP32-C3' } as const
type Chip = keyof typeof files
const chips = Object.keys(files) as Chip[]

const peers = peersAreHere('docker-registry', 'skopeo')
const vectors = existsSync(wled)
if (!vectors) {
  if (process.env.CI) throw new Error(`expected the WLED images in ${wled}, found none`)
  console.warn(`SKIPPED: expected the WLED images in ${wled}, found none; set REFLASH_VECTORS`)
}

const image = (chip: Chip, build: 'b1' | 'b2'): string => join(wled, `WLED_0.14.2-${build}_${files[chip]}.bin`)
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

async function started() {
  const folder = await temporaryFolder()
  const registry = await startDockerRegistry()
  const env = { COSIGN_PASSWORD: 'secret' }
  const reflash = async (...args: readonly string[]) => {
    const ran = await runReflash(args, { cwd: folder, env })
    expect(ran, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`).toMatchObject({ exitCode: 0 })
    return ran
  }
  const serve = async (...args: readonly string[]) => {
    const server = startReflash(['serve', '--listen', '127.0.0.1:0', '--state', 'state', ...args], { cwd: folder, env })
    const text = await server.seen(/listening on http:\/\/\S+/)
    const url = /listening on (http:\/\/\S+)/.exec(text)?.[1] as string
    return { ...server, url }
  }
  await reflash('keygen', '--output-key-prefix', 'cosign')
  // A new tag is seen at the next check-in, so that no test waits for it.
  writeFileSync(join(folder, 'reflash.config.mjs'), 'export default { times: { freshMs: 0, staleMs: 0 } }')
  return { folder, registry, reflash, serve, repository: `${registry.host}/firmware/wled` }
}

test.runIf(peers && vectors)(
  'four chips each get their own image of one signed index, twice, and confirm it',
  async () => {
    const { folder, registry, reflash, serve, repository } = await started()
    try {
      const release = async (tag: string, build: 'b1' | 'b2') => {
        await reflash('push', `${repository}:${tag}`, ...chips.map((chip) => `${image(chip, build)}@custom/${chip}`), '--product', 'wled')
        await reflash('sign', `${repository}:${tag}`, '--key', 'cosign.key')
      }
      await release('1.0.0', 'b1')
      const tokens = chips.map((chip) => `wled-${chip} token-of-${chip}`).join('\n')
      writeFileSync(join(folder, 'tokens'), tokens, { mode: 0o600 })
      const server = await serve(
        '--repository',
        repository,
        '--key',
        'cosign.pub',
        '--tokens',
        'tokens',
        '--product',
        'wled',
        '--config',
        'reflash.config.mjs',
      )
      const update = async (chip: Chip, version: string, build: 'b1' | 'b2') => {
        const args = [
          '--server',
          server.url,
          '--id',
          `wled-${chip}`,
          '--chip',
          chip,
          '--state',
          `device-${chip}`,
          '--token',
          `token-of-${chip}`,
        ]
        const { stdout } = await reflash('device', ...args, '--once', '--json')
        const outcome = JSON.parse(stdout) as { outcome: string; installed: { version: string; digest: string } }
        expect(outcome, stdout).toMatchObject({
          outcome: 'confirmed',
          installed: { version, digest: `sha256:${sha256(image(chip, build))}` },
        })
      }
      for (const chip of chips) await update(chip, '1.0.0', 'b1')
      await release('v1.1.0', 'b2')
      for (const chip of chips) await update(chip, '1.1.0', 'b2')

      const { stdout } = await promisify(execFile)('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${repository}:v1.1.0`])
      const index = JSON.parse(stdout) as { mediaType: string; manifests: { platform: { os: string; architecture: string } }[] }
      expect(index.mediaType).toBe(mediaTypes.index)
      expect(index.manifests.map(({ platform }) => `${platform.os}/${platform.architecture}`).sort()).toEqual(
        chips.map((chip) => `custom/${chip}`).sort(),
      )
      const { stderr } = server.child.kill('SIGTERM') ? await server.ended : { stderr: '' }
      expect(stderr.match(/device confirm passed/g)).toHaveLength(8)
      expect(stderr).not.toContain('token-of-')
    } finally {
      await registry.stop()
    }
  },
  180_000,
)

test.runIf(peers && vectors)(
  'an image pushed as ORAS does is refused for want of a signed version, and served to an OtaFlux client where tags are trusted',
  async () => {
    const { registry, reflash, serve, repository } = await started()
    try {
      const bytes = readFileSync(image('esp32s3', 'b1'))
      await pushAsOras(`${repository}:1.0.0`, bytes)
      await reflash('sign', `${repository}:1.0.0`, '--key', 'cosign.key')

      const strict = await serve('--repository', repository, '--key', 'cosign.pub', '--allow-anonymous')
      expect((await get(`${strict.url}/version?device=lamp`)).status).toBe(404)
      expect(await strict.seen(/VERSION_NOT_SIGNED/)).toContain('VERSION_NOT_SIGNED')
      strict.child.kill('SIGTERM')
      expect(await strict.ended).toMatchObject({ exitCode: 0 })

      const trusting = await serve('--repository', repository, '--key', 'cosign.pub', '--allow-anonymous', '--trust-tag-versions')
      const version = await get(`${trusting.url}/version?device=lamp`)
      expect(version.body.toString().split('\n')).toEqual(['1.0.0', expect.stringMatching(/^\d+$/), String(bytes.length)])
      expect(version.headers['transfer-encoding']).toBeUndefined()
      const firmware = await get(`${trusting.url}/firmware?device=lamp`)
      expect(firmware.body.equals(bytes)).toBe(true)
      trusting.child.kill('SIGTERM')
      expect((await trusting.ended).stderr).toMatch(/device deliver unobserved/)
    } finally {
      await registry.stop()
    }
  },
  120_000,
)

/** What `oras push <reference> firmware.bin:application/vnd.espressif.esp32.firmware.v1+binary` makes: a title, and nothing of ours. */
async function pushAsOras(reference: string, image: Uint8Array): Promise<void> {
  const registry = ociRegistry()
  const repository = reference.slice(0, reference.lastIndexOf(':'))
  const put = async (mediaType: string, bytes: Uint8Array, more: object = {}) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length, ...more }
    await registry.push(repository, descriptor, () => streamOf(bytes))
    return descriptor
  }
  const config = await put(mediaTypes.empty, new TextEncoder().encode('{}'))
  const layer = await put('application/vnd.espressif.esp32.firmware.v1+binary', image, {
    annotations: { [annotations.title]: 'firmware.bin' },
  })
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: 'application/vnd.unknown.artifact.v1',
    config,
    layers: [layer],
  }
  await registry.tag(await put(mediaTypes.manifest, new TextEncoder().encode(JSON.stringify(manifest))), reference)
  await registry.close?.()
}

function get(url: string): Promise<{ readonly status: number; readonly headers: Record<string, unknown>; readonly body: Buffer }> {
  return new Promise((resolve, reject) => {
    request(url, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }))
    })
      .on('error', reject)
      .end()
  })
}
