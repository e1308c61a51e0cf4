import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Packed } from '../gate/packages.ts'
import { root } from '../workspaces.ts'

export interface LocalRegistry extends AsyncDisposable {
  readonly url: string
}

/** Serves packed packages as an npm registry does, so that `npm install <name>` finds them before they are published. */
export async function localRegistry(packed: readonly Packed[]): Promise<LocalRegistry> {
  const answers = new Map<string, () => string | Buffer>()
  const server = createServer((request, response) => {
    const answer = answers.get(decodeURIComponent(request.url ?? ''))
    response.writeHead(answer === undefined ? 404 : 200)
    response.end(answer?.())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const { workspace, tarball } of packed) {
    const { name } = workspace.manifest
    const manifest = JSON.parse(readFileSync(`${root}${workspace.folder}/package.json`, 'utf8')) as { readonly version: string }
    const bytes = readFileSync(tarball)
    const dist = { tarball: `${url}/${name}.tgz`, integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}` }
    answers.set(`/${name}.tgz`, () => bytes)
    answers.set(`/${name}`, () =>
      JSON.stringify({ name, 'dist-tags': { latest: manifest.version }, versions: { [manifest.version]: { ...manifest, dist } } }),
    )
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
