import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { registrySuite, signatureVerifierSuite } from '@reflash/core/conformance'
import { cosignVerifier, ociRegistry, openUnencryptedKey, signArtifact } from '@reflash/registry-oci'
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

describe('cosignVerifier', () => {
  const makeKey = () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return openUnencryptedKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  }

  signatureVerifierSuite(
    { describe, it },
    {
      async make() {
        const key = makeKey()
        return {
          plugin: cosignVerifier({ keys: [key.publicKeyPem] }),
          sign: async (registry, repository, { digest }) => void (await signArtifact(registry, `${repository}@${digest}`, key)),
          forgeries: [
            {
              name: 'signatures that lie under the tag of another artifact',
              async forge(registry, repository, subject) {
                const other = registry.addArtifact(repository, { content: new Uint8Array(7), version: '9.9.9' }).manifest
                const { signatures } = await signArtifact(registry, `${repository}@${other.digest}`, key)
                await registry.tag(signatures, `${repository}:${subject.digest.replace(':', '-')}.sig`)
              },
            },
          ],
          dispose: async () => {},
        }
      },
      factory: cosignVerifier,
      options: { keys: [makeKey().publicKeyPem, { pem: makeKey().publicKeyPem, name: 'spare' }], threshold: 1 },
    },
  )
})
