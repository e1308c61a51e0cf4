import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { registrySuite } from '@reflash/core/conformance'
import { ociRegistry } from '@reflash/registry-oci'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type DockerRegistry, peersAreHere, startDockerRegistry } from '../docker-registry.ts'

// docker-registry answers 500 for a moment while it writes what is asked for: it is tried again, sooner than in real life.
const clock = { now: () => performance.now(), sleep: (_milliseconds: number, signal?: AbortSignal) => setTimeout(5, undefined, { signal }) }

describe.runIf(peersAreHere('docker-registry'))('ociRegistry on docker-registry', () => {
  let peer: DockerRegistry
  beforeAll(async () => {
    peer = await startDockerRegistry()
  })
  afterAll(() => peer?.stop())

  registrySuite(
    { describe, it },
    {
      async make() {
        const plugin = ociRegistry({ clock })
        const name = `${peer.host}/conformance/${randomUUID()}`
        return { plugin, repositories: [`${name}/a`, `${name}/b`], dispose: () => plugin.close() }
      },
      factory: ociRegistry,
      options: { plainHttp: ['registry.test'], limits: { attempts: 1 } },
      timeoutMs: 20_000,
    },
  )
})
