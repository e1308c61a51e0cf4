import { type Digest, digestOf } from '@reflash/core'
import { memoryRegistry } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { openKey } from '../../src/cosign/key-file.ts'
import { signArtifact } from '../../src/cosign/sign-artifact.ts'
import { contextOf, type Layer, layerJson, manifestOf, putSignatures, repository, subjectOf } from './scene.ts'
import { vectors } from './vectors.ts'

const fixtures = vectors('sigstore/containers-image')
const text = (name: string): string => new TextDecoder().decode(fixtures?.read(name))

/** A file of the `dir:` transport: a zero byte, the format's name, a line end, and JSON. */
function layerOf(file: string): Layer {
  const { mimeType, payload, annotations } = JSON.parse(text(file).slice('\0sigstore-json\n'.length))
  const { 'dev.cosignproject.cosign/signature': signature, ...rest } = annotations
  return { payload: new Uint8Array(Buffer.from(payload, 'base64')), signature, mediaType: mimeType, annotations: rest }
}

async function verify(folder: string, keys: readonly string[], threshold = 1) {
  const files = fixtures?.list(folder) ?? []
  const registry = memoryRegistry()
  // dir-img-cosign-no-manifest has a signature alone: whether its subject exists is not for a verifier to say.
  const digest: Digest = files.includes('manifest.json')
    ? digestOf(fixtures?.read(`${folder}/manifest.json`) as Uint8Array)
    : 'sha256:634a8f35b5f16dcf4aaa0822adc0b1964bb786fca12f6831de8ddc45e5986a00'
  const layers = files.filter((name) => name.startsWith('signature-')).map((name) => layerJson(registry, layerOf(`${folder}/${name}`)))
  await putSignatures(registry, digest, manifestOf(layers))
  const verifier = cosignVerifier({ keys: keys.map((name) => text(name)), threshold })
  const subject = subjectOf({ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 1 })
  const { checks } = await verifier.verify(subject, contextOf(registry))
  return checks.find(({ status }) => status === 'failed' || status === 'inconclusive')?.name ?? 'passed'
}

/** Folder, outcome with cosign.pub, outcome with cosign2.pub. */
const table: readonly (readonly [string, string, string])[] = [
  ['dir-img-cosign-valid', 'passed', 'SIGNATURE_OTHER_KEY'],
  ['dir-img-cosign-valid-2', 'passed', 'SIGNATURE_OTHER_KEY'],
  ['dir-img-cosign-valid-with-tag', 'passed', 'SIGNATURE_OTHER_KEY'],
  ['dir-img-cosign-mixed', 'passed', 'SIGNATURE_OTHER_KEY'],
  ['dir-img-cosign-no-manifest', 'passed', 'SIGNATURE_OTHER_KEY'],
  // A Rekor bundle beside a signature by cosign2.pub is ignored.
  ['dir-img-cosign-key-rekor-valid', 'SIGNATURE_OTHER_KEY', 'passed'],
  ['dir-img-cosign-modified-manifest', 'SIGNATURE_OTHER_ARTIFACT', 'SIGNATURE_OTHER_KEY'],
  ['dir-img-cosign-manifest-digest-error', 'SIGNATURE_OTHER_ARTIFACT', 'SIGNATURE_OTHER_KEY'],
  // A text file with the annotation of a signature.
  ['dir-img-cosign-other-attachment', 'SIGNATURE_NOT_FOUND', 'SIGNATURE_NOT_FOUND'],
  // Keyless: a certificate vouches, and no configured key.
  ['dir-img-cosign-fulcio-rekor-valid', 'SIGNATURE_OTHER_KEY', 'SIGNATURE_OTHER_KEY'],
  // A certificate again, and a signature of several lines as `openssl base64` writes it.
  ['dir-img-cosign-pki-valid', 'SIGNATURE_INVALID', 'SIGNATURE_INVALID'],
]

describe.skipIf(fixtures === undefined)('the fixtures of containers/image', () => {
  test('are all in the table', () => {
    expect(fixtures?.list().filter((name) => name.startsWith('dir-img-cosign-'))).toEqual(table.map(([folder]) => folder).sort())
  })

  test.each(table)('%s: %s with cosign.pub, %s with cosign2.pub', async (folder, first, second) => {
    expect([await verify(folder, ['cosign.pub']), await verify(folder, ['cosign2.pub'])]).toEqual([first, second])
    expect(await verify(folder, ['some-rsa-key.pub'])).not.toBe('passed')
  })

  test('count two signatures by one key once', async () => {
    expect(await verify('dir-img-cosign-valid-2', ['cosign.pub', 'cosign2.pub'])).toBe('passed')
    expect(await verify('dir-img-cosign-valid-2', ['cosign.pub', 'cosign2.pub'], 2)).toBe('SIGNATURE_THRESHOLD')
  })

  test('are refused under another artifact with a signature by a key that nobody knows', async () => {
    const registry = memoryRegistry()
    const layer = layerOf('unknown-cosign-key.signature')
    const digest = JSON.parse(new TextDecoder().decode(layer.payload)).critical.image['docker-manifest-digest'] as Digest
    await putSignatures(registry, digest, manifestOf([layerJson(registry, layer)]))
    const verifier = cosignVerifier({ keys: [text('cosign.pub'), text('cosign2.pub'), text('some-rsa-key.pub')] })
    const { checks } = await verifier.verify(subjectOf({ mediaType: 'x/y', digest, size: 1 }), contextOf(registry))
    expect(checks[0]).toMatchObject({ name: 'SIGNATURE_OTHER_KEY', status: 'failed' })
  })
})

const skopeo = vectors('sigstore/skopeo-1.14.4')

/** Folder, and the keys of the three that pass. */
const signedBy: readonly (readonly [string, string])[] = [
  ['image-cosign', 'cosign.pub'],
  ['artifact-cosign', 'cosign.pub'],
  ['artifact-cosignold', 'cosignold.pub'],
  ['artifact-skgen', 'skgen.pub'],
  ['node-signed', 'cosign.pub'],
]

describe.skipIf(skopeo === undefined)('signatures made and accepted by skopeo 1.14.4', () => {
  const publicKeys = ['cosign.pub', 'cosignold.pub', 'skgen.pub']
  const read = (name: string): Uint8Array => skopeo?.read(name) as Uint8Array

  async function store(folder: string) {
    const registry = memoryRegistry()
    const manifest = registry.addContent(repository, 'application/vnd.oci.image.manifest.v1+json', read(`${folder}/manifest.json`))
    registry.addContent(repository, 'application/octet-stream', read(`${folder}/payload.json`))
    const name = skopeo?.list(folder).find((file) => file.endsWith('.sig.manifest.json')) as string
    expect(name).toBe(`${manifest.digest.replace(':', '-')}.sig.manifest.json`)
    await putSignatures(registry, manifest.digest, read(`${folder}/${name}`))
    return { registry, manifest }
  }

  test.each(signedBy)('%s passes with %s and with no other key', async (folder, signer) => {
    const { registry, manifest } = await store(folder)
    for (const name of publicKeys) {
      const verifier = cosignVerifier({ keys: [read(name)] })
      const { checks } = await verifier.verify(subjectOf(manifest), contextOf(registry))
      const failed = checks.filter(({ status }) => status === 'failed').map((check) => check.name)
      expect(failed).toEqual(name === signer ? [] : ['SIGNATURE_OTHER_KEY'])
    }
  })

  test('get one of ours beside them, and both pass', async () => {
    const { registry, manifest } = await store('artifact-skgen')
    const key = await openKey(new TextDecoder().decode(read('cosignold.key')), 's3cret')
    await signArtifact({ ...registry, push: pushUnchecked(registry) }, `${repository}@${manifest.digest}`, key)
    const verifier = cosignVerifier({ keys: [read('skgen.pub'), read('cosignold.pub')], threshold: 2 })
    const { checks } = await verifier.verify(subjectOf(manifest), contextOf(registry))
    expect(checks.filter(({ status }) => status !== 'passed').map(({ name }) => name)).toEqual(['SIGNED_IDENTITY'])
  })
})

/** The vectors hold no config blobs, without which the memory registry takes no manifest. */
function pushUnchecked(registry: ReturnType<typeof memoryRegistry>): typeof registry.push {
  return async (name, { mediaType }, open) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of open()) chunks.push(chunk)
    registry.addContent(name, mediaType, new Uint8Array(Buffer.concat(chunks)))
  }
}
