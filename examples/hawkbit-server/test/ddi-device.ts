import { createHash } from 'node:crypto'

/** What hawkBit's API tells a device. */
interface Poll {
  readonly config: { readonly polling: { readonly sleep: string } }
  readonly _links: Readonly<Record<string, { readonly href: string } | undefined>>
}
interface Deployment {
  readonly id: string
  readonly deployment: {
    readonly chunks: readonly {
      readonly version: string
      readonly artifacts: readonly {
        readonly filename: string
        readonly hashes: { readonly sha1: string }
        readonly _links: { readonly download: { readonly href: string } }
      }[]
    }[]
  }
}

/** A device that knows hawkBit's API as far as SWUpdate does. */
export function ddiDevice({ server, id, token }: { readonly server: string; readonly id: string; readonly token: string }) {
  const base = `${server}/DEFAULT/controller/v1/${id}`
  const ask = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { Authorization: `TargetToken ${token}`, 'Content-Type': 'application/json' }
    const answer = await fetch(url, { ...init, headers })
    if (answer.status !== 200) throw new Error(`expected 200, found ${answer.status} at ${url}`)
    return answer
  }
  return {
    poll: async () => (await (await ask(base)).json()) as Poll,
    tell: (href: string, data: Readonly<Record<string, string>>) => ask(href, { method: 'PUT', body: JSON.stringify({ data }) }),
    /** Downloads and checks what a link leads to. */
    async download(href: string) {
      const { id: action, deployment } = (await (await ask(href)).json()) as Deployment
      const [chunk] = deployment.chunks
      const artifact = chunk?.artifacts[0]
      if (chunk === undefined || artifact === undefined) throw new Error('expected an artifact')
      const bytes = new Uint8Array(await (await ask(artifact._links.download.href)).arrayBuffer())
      const sha1 = createHash('sha1').update(bytes).digest('hex')
      if (sha1 !== artifact.hashes.sha1 || !artifact.filename.endsWith('.swu')) throw new Error('expected the .swu that was announced')
      return { action, version: chunk.version, bytes }
    },
    report: (action: string, execution: string, finished: string) =>
      ask(`${base}/deploymentBase/${action}/feedback`, {
        method: 'POST',
        body: JSON.stringify({ id: action, status: { execution, result: { finished }, details: [] } }),
      }),
  }
}
