import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface SlowRegistry {
  /** `127.0.0.1:<port>` */
  readonly host: string
  /** Resolves when an image has been begun and is being held back. */
  readonly begun: Promise<void>
}

/** A registry over a layout that sends half of every image and then nothing more. Manifests come whole. */
export async function slowRegistry(layout: string): Promise<SlowRegistry> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    manifests: readonly { digest: string; mediaType: string; annotations?: Record<string, string> }[]
  }
  const blob = (digest: string) => readFile(join(layout, 'blobs', ...digest.split(':')))
  let onBegun = (): void => {}
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const held = new Set<ServerResponse>()
  const server = createServer(async (request, response) => {
    const [, kind, name] = /\/v2\/.+\/(manifests|blobs)\/([^/?]+)$/.exec(request.url ?? '') ?? []
    const entry = index.manifests.find(
      ({ digest, annotations }) => digest === name || annotations?.['org.opencontainers.image.ref.name'] === name,
    )
    const digest = entry?.digest ?? name ?? ''
    if (kind === undefined || !digest.startsWith('sha256:')) return void response.writeHead(404).end()
    const bytes = await blob(digest)
    response.setHeader('Docker-Content-Digest', digest)
    response.setHeader('Content-Type', entry?.mediaType ?? 'application/octet-stream')
    response.setHeader('Content-Length', bytes.length)
    if (kind === 'manifests' || request.method === 'HEAD') return void response.end(request.method === 'HEAD' ? undefined : bytes)
    held.add(response)
    response.write(bytes.subarray(0, bytes.length / 2), () => onBegun())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const response of held) response.destroy()
    server.close()
  })
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, begun }
}
