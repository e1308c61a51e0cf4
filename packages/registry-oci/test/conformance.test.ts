import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { registrySuite } from '@reflash/core/conformance'
import { ociRegistry } from '@reflash/registry-oci'
import { describe, it } from 'vitest'

describe('ociRegistry on image layouts', () => {
  registrySuite(
    { describe, it },
    {
      async make() {
        const folder = mkdtempSync(join(tmpdir(), 'layout-conformance-'))
        const plugin = ociRegistry()
        return {
          plugin,
          repositories: [`oci:${join(folder, 'a')}`, `oci:${join(folder, 'b')}`],
          async dispose() {
            await plugin.close()
            rmSync(folder, { recursive: true, force: true })
          },
        }
      },
      factory: ociRegistry,
      options: { plainHttp: ['registry.test'], limits: { attempts: 1 } },
      timeoutMs: 20_000,
    },
  )
})
