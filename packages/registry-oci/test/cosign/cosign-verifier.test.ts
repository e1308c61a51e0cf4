import { createPublicKey } from 'node:crypto'
import { type Check, coreError, type Descriptor, type Digest, digestOf, OtaError, type Registry } from '@reflash/core'
import { memoryRegistry } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { encodeBase64 } from '../../src/cosign/base64.ts'
import { cosignErrors } from '../../src/cosign/cosign-errors.ts'
import { type CosignVerifierOptions, cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { formatPayload } from '../../src/cosign/payload.ts'
import { signatureTag } from '../../src/cosign/signature-manifest.ts'
import { signingKey } from '../../src/cosign/signing-key.ts'
import { fail } from '../../src/oci-errors.ts'
import {
  alice,
  bob,
  contextOf,
  ecKey,
  edKey,
  type Layer,
  layerJson,
  mallory,
  manifestOf,
  putSignatures,
  repository,
  rsaKey,
  scene,
  signed,
  subjectOf,
  utf8,
} from './scene.ts'

const byAlice = (digest: Digest) => signed(alice, digest)
const byBob = (digest: Digest) => signed(bob, digest)
const byMallory = (digest: Digest) => signed(mallory, digest)
const alices = { keys: [alice.publicKeyPem] }

async function judge(
  { registry, subject }: { registry: Pick<Registry, 'resolve' | 'fetch'>; subject: ReturnType<typeof subjectOf> },
  options: CosignVerifierOptions = alices,
) {
  const result = await cosignVerifier(options).verify(subject, contextOf(registry))
  const bad = result.checks.filter(({ status }) => status === 'failed' || status === 'inconclusive')
  return { ...result, outcome: bad.map(({ name }) => name).join(' ') || 'passed' }
}

describe('cosignVerifier', () => {
  test('passes an artifact that a key has signed, and names each step and the signer', async () => {
    const { outcome, checks, covers, signer } = await judge(await scene(byAlice), { keys: [{ pem: alice.publicKeyPem, name: 'release' }] })
    expect({ outcome, covers, signer }).toEqual({ outcome: 'passed', covers: 'root', signer: { identity: alice.identity } })
    expect(checks.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'SIGNATURE_FOUND passed',
      'SIGNATURE_VERIFIED passed',
      'SIGNED_DIGEST passed',
      'SIGNED_IDENTITY skipped',
      'SIGNER_THRESHOLD passed',
    ])
    expect(checks[1]?.reason).toBe(`signature 0 is by "release" ${alice.identity}`)
  })

  test.each([
    ['RSA with 2048 bits', () => rsaKey(2048)],
    ['P-384', () => ecKey('P-384')],
    ['P-521', () => ecKey('P-521')],
    ['Ed25519', edKey],
  ])('passes a signature by a key of %s, given as DER', async (_, make) => {
    const privateKey = make()
    const keys = [new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))]
    expect((await judge(await scene((digest) => signed(signingKey(privateKey), digest)), { keys })).outcome).toBe('passed')
  })

  test('refuses an artifact without signatures', async () => {
    const { outcome, checks } = await judge(await scene())
    expect(outcome).toBe('SIGNATURE_NOT_FOUND')
    expect(checks[0]?.reason).toMatch(/expected signatures under registry\.test\/fw\/app:sha256-[0-9a-f]{64}\.sig, found none/)
  })

  test('refuses a signature by another key, and passes it beside one by the right key', async () => {
    expect((await judge(await scene(byMallory))).outcome).toBe('SIGNATURE_OTHER_KEY')
    const { outcome, checks } = await judge(await scene(byMallory, byAlice))
    expect(outcome).toBe('passed')
    expect(checks).toContainEqual(expect.objectContaining({ name: 'SIGNATURE_OTHER_KEY', status: 'skipped' }))
  })

  test('refuses a genuine signature of another artifact in the place of this one', async () => {
    const other = digestOf(utf8('another manifest'))
    const { outcome, checks } = await judge(await scene(() => byAlice(other), byMallory))
    expect(outcome).toBe('SIGNATURE_OTHER_ARTIFACT')
    expect(checks[0]?.reason).toContain(other)
  })

  test('refuses a signed digest in another spelling', async () => {
    const spelled = (change: (digest: string) => string) => (digest: Digest) =>
      signed(alice, digest, formatPayload({ digest: change(digest) as Digest, dockerReference: repository }))
    for (const change of [
      (text: string) => text.toUpperCase(),
      (text: string) => text.replace('sha256:', ''),
      (text: string) => ` ${text}`,
      (text: string) => text.replace('sha256', 'SHA256'),
    ]) {
      expect((await judge(await scene(spelled(change)))).outcome).toBe('SIGNATURE_OTHER_ARTIFACT')
    }
  })

  test('refuses what the right key signed as something else', async () => {
    const signedText = (make: (digest: Digest) => string) => async (digest: Digest) => signed(alice, digest, utf8(make(digest)))
    const good = (digest: Digest) => new TextDecoder().decode(formatPayload({ digest, dockerReference: repository }))
    for (const make of [
      () => 'hello',
      (digest: Digest) => `${good(digest)} {}`,
      (digest: Digest) => good(digest).replace('cosign container image signature', 'attestation'),
      (digest: Digest) =>
        good(digest).replace('"docker-manifest-digest":', `"docker-manifest-digest":"${digestOf(utf8('x'))}","docker-manifest-digest":`),
    ]) {
      expect((await judge(await scene(signedText(make)))).outcome).toBe('SIGNATURE_PAYLOAD_INVALID')
    }
  })

  test('does not parse what no key has signed', async () => {
    const layer = async (digest: Digest) => signed(mallory, digest, utf8('{"hello":1,"hello":2}'))
    expect((await judge(await scene(layer))).outcome).toBe('SIGNATURE_OTHER_KEY')
  })

  test.each<[string, (layer: Layer) => Layer]>([
    ['in base64 with a line end', (layer) => ({ ...layer, signature: `${encodeBase64(layer.signature as Uint8Array)}\n` })],
    [
      'in base64 with other padding bits',
      (layer) => ({ ...layer, signature: `${encodeBase64(new Uint8Array([...(layer.signature as Uint8Array), 0])).slice(0, -2)}B=` }),
    ],
    ['in URL base64', (layer) => ({ ...layer, signature: '-_-_' })],
    ['of nothing', (layer) => ({ ...layer, signature: '' })],
    ['of a megabyte', (layer) => ({ ...layer, signature: 'A'.repeat(1_000_000) })],
    ['over a payload of 64 KiB and a byte', (layer) => ({ ...layer, payload: new Uint8Array(65_537) })],
    ['over no payload', (layer) => ({ ...layer, payload: new Uint8Array() })],
  ])('refuses a signature %s', async (_, change) => {
    expect((await judge(await scene(async (digest) => change(await byAlice(digest))))).outcome).toBe('SIGNATURE_INVALID')
  })

  test('refuses a DER signature with a byte behind it', async () => {
    const longer = (layer: Layer) => ({ ...layer, signature: new Uint8Array([...(layer.signature as Uint8Array), 0]) })
    expect((await judge(await scene(async (digest) => longer(await byAlice(digest))))).outcome).toBe('SIGNATURE_OTHER_KEY')
  })

  test.each<[string, (json: Record<string, unknown>) => unknown]>([
    ['null', () => null],
    ['a string', () => 'layer'],
    ['without digest', ({ digest: _, ...rest }) => rest],
    ['with a digest in capitals', (json) => ({ ...json, digest: String(json.digest).toUpperCase() })],
    ['with a size of text', (json) => ({ ...json, size: String(json.size) })],
    ['with a size that cannot become text', (json) => ({ ...json, size: { toString: '5' } })],
    ['with a negative size', (json) => ({ ...json, size: -1 })],
    ['with a fraction as size', (json) => ({ ...json, size: 1.5 })],
    ['without annotations', ({ annotations: _, ...rest }) => rest],
    ['with a list of annotations', (json) => ({ ...json, annotations: [json.annotations] })],
    [
      'with the signature in a prototype',
      (json) => JSON.parse(JSON.stringify(json).replace('"annotations":', '"annotations":{"__proto__":').replace(/}$/, '}}')),
    ],
  ])('refuses a layer that is %s', async (_, change) => {
    const { registry, manifest, subject } = await scene()
    const json = layerJson(registry, await byAlice(manifest.digest)) as Record<string, unknown>
    await putSignatures(registry, manifest.digest, manifestOf([change(json) as never]))
    expect(['SIGNATURE_INVALID', 'SIGNATURE_NOT_FOUND']).toContain((await judge({ registry, subject })).outcome)
  })

  test.each<[string, string, unknown]>([
    ['an index', 'application/vnd.oci.image.index.v1+json', { schemaVersion: 2, manifests: [] }],
    [
      'a manifest with manifests',
      'application/vnd.oci.image.manifest.v1+json',
      { schemaVersion: 2, config: {}, layers: [], manifests: [] },
    ],
    ['a manifest of schema 1', 'application/vnd.oci.image.manifest.v1+json', { schemaVersion: 1, config: {}, layers: [] }],
    [
      'a manifest that calls itself an index',
      'application/vnd.oci.image.manifest.v1+json',
      { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', config: {}, layers: [] },
    ],
    ['a manifest without layers', 'application/vnd.oci.image.manifest.v1+json', { schemaVersion: 2, config: {} }],
    ['a manifest without config', 'application/vnd.oci.image.manifest.v1+json', { schemaVersion: 2, layers: [] }],
    ['a list', 'application/vnd.oci.image.manifest.v1+json', []],
    [
      '10,000 layers',
      'application/vnd.oci.image.manifest.v1+json',
      { schemaVersion: 2, config: {}, layers: Array.from({ length: 10_000 }, () => ({})) },
    ],
  ])('refuses a signature tag that points at %s', async (_, mediaType, document) => {
    const { registry, manifest, subject } = await scene()
    await putSignatures(registry, manifest.digest, document as never, mediaType)
    expect((await judge({ registry, subject })).outcome).toBe('SIGNATURE_MANIFEST_INVALID')
  })

  test('refuses a signature manifest of which parsers could disagree', async () => {
    const { registry, manifest, subject } = await scene(byAlice)
    const text = JSON.stringify(manifestOf([layerJson(registry, await byAlice(manifest.digest))])).replace(
      '{"schemaVersion"',
      '{"layers":[],"schemaVersion"',
    )
    await putSignatures(registry, manifest.digest, utf8(text))
    expect((await judge({ registry, subject })).outcome).toBe('SIGNATURE_MANIFEST_INVALID')
  })

  test('tries 32 signatures and skips layers of other types without asking for them', async () => {
    const junk = (count: number, mediaType?: string) =>
      Array.from(
        { length: count },
        (_, index) => async (): Promise<Layer> => ({
          payload: utf8(`junk ${index}`),
          signature: 'QUJD',
          ...(mediaType === undefined ? {} : { mediaType }),
        }),
      )
    expect((await judge(await scene(...junk(31), byAlice))).outcome).toBe('passed')
    const full = await scene(...junk(32), byAlice)
    expect((await judge(full)).outcome).toBe('SIGNATURE_OTHER_KEY')
    expect(full.registry.calls.filter((call) => call.startsWith('fetch')).length).toBe(1 + 32)
    const others = await scene(...junk(900, 'application/spdx+json'), byAlice)
    expect((await judge(others)).outcome).toBe('passed')
    expect(others.registry.calls.filter((call) => call.startsWith('fetch')).length).toBe(2)
  })

  test('asks for one payload once, however many keys have signed it', async () => {
    const stage = await scene(byMallory, byBob, byAlice)
    expect((await judge(stage)).outcome).toBe('passed')
    expect(stage.registry.calls.filter((call) => call.startsWith('fetch')).length).toBe(2)
  })

  test('refuses bytes that do not have the digest or size they were asked for by, of manifest and payload alike', async () => {
    const longer = utf8('longer than any of them '.repeat(1000))
    for (const spoil of ['manifest', 'payload'] as const) {
      for (const bytes of [utf8('x'), longer]) {
        const { registry, manifest, subject } = await scene(byAlice)
        const signatures = await registry.resolve(`${repository}:${signatureTag(manifest.digest)}`)
        const { payload } = await byAlice(manifest.digest)
        registry.replace(repository, spoil === 'manifest' ? signatures.digest : digestOf(payload), bytes)
        expect((await judge({ registry, subject })).outcome).toBe('SIGNATURE_UNREADABLE')
      }
    }
  })

  test('decides nothing where the registry refuses this server the signature', async () => {
    for (const call of ['resolve', 'fetch'] as const) {
      const { registry, subject } = await scene(byAlice)
      const refuse = async (): Promise<never> => {
        throw fail('REGISTRY_DENIED', 'expected leave, found 401')
      }
      const { checks } = await judge({ registry: { ...registry, [call]: refuse }, subject })
      expect(checks.map(({ status }) => status)).toContain('inconclusive')
      expect(checks.map(({ status }) => status)).not.toContain('failed')
    }
  })

  test('refuses a descriptor beyond 4 MiB without asking for its bytes', async () => {
    const { registry, subject } = await scene(byAlice)
    const from = {
      ...registry,
      resolve: async (name: string): Promise<Descriptor> => ({ ...(await registry.resolve(name)), size: 4 * 1024 * 1024 + 1 }),
    }
    expect((await judge({ registry: from, subject })).outcome).toBe('SIGNATURE_UNREADABLE')
    expect(registry.calls.filter((call) => call.startsWith('fetch'))).toEqual([])
  })

  test('stops reading a stream that does not end', async () => {
    const { registry, subject } = await scene(byAlice)
    let chunks = 0
    const endless = async function* () {
      for (;;) {
        chunks++
        yield new Uint8Array(65_536)
      }
    }
    expect((await judge({ registry: { ...registry, fetch: async () => endless() }, subject })).outcome).toBe('SIGNATURE_UNREADABLE')
    expect(chunks).toBeLessThan(3)
  })
})

describe('the identity that a signature names', () => {
  const elsewhere = (dockerReference: string) => (digest: Digest) => signed(alice, digest, formatPayload({ digest, dockerReference }))

  test('is told and not compared unless asked for', async () => {
    const { outcome, checks } = await judge(await scene(elsewhere('evil.test/other:9')))
    expect(outcome).toBe('passed')
    expect(checks).toContainEqual({
      name: 'SIGNED_IDENTITY',
      status: 'skipped',
      reason: 'it says "evil.test/other:9", which is not compared',
    })
  })

  test.each([
    [repository, 'passed'],
    [`${repository}:1.0.0`, 'passed'],
    [`${repository}x`, 'SIGNATURE_OTHER_IDENTITY'],
    ['evil.test/fw/app', 'SIGNATURE_OTHER_IDENTITY'],
    ['', 'SIGNATURE_OTHER_IDENTITY'],
    ['no reference', 'SIGNATURE_OTHER_IDENTITY'],
  ])('may have to be the repository: %j %s', async (dockerReference, outcome) => {
    expect((await judge(await scene(elsewhere(dockerReference)), { ...alices, identity: 'match-repository' })).outcome).toBe(outcome)
  })

  test('may have to be a repository that is named', async () => {
    const stage = await scene(elsewhere('origin.test/fw:1'))
    expect((await judge(stage, { ...alices, identity: { repository: 'origin.test/fw' } })).outcome).toBe('passed')
    expect((await judge(stage, { ...alices, identity: 'match-repository' })).outcome).toBe('SIGNATURE_OTHER_IDENTITY')
  })
})

describe('a threshold', () => {
  const both = { keys: [alice.publicKeyPem, bob.publicKeyPem], threshold: 2 }

  test('passes where so many different keys have signed', async () => {
    const { outcome, signer } = await judge(await scene(byAlice, byMallory, byBob), both)
    expect(outcome).toBe('passed')
    expect(signer?.identity.split(' ')).toEqual([alice.identity, bob.identity].sort())
  })

  test('counts a key once, however often it signed', async () => {
    const { outcome, checks } = await judge(
      await scene(byAlice, byAlice, (digest) => signed(alice, digest, formatPayload({ digest, dockerReference: 'x/y' }))),
      both,
    )
    expect(outcome).toBe('SIGNATURE_THRESHOLD')
    expect(checks[0]?.reason).toContain('expected signatures by 2 different keys, found 1')
  })

  test('counts a key once, however often it is configured', () => {
    const twice = [alice.publicKeyPem, { pem: alice.publicKeyPem, name: 'again' }]
    expect(() => cosignVerifier({ keys: twice, threshold: 2 })).toThrow(expect.objectContaining({ code: 'VERIFIER_OPTIONS_INVALID' }))
  })
})

describe('root and manifest', () => {
  async function index(signRoot: boolean, signManifest: boolean) {
    const registry = memoryRegistry()
    const { manifest } = registry.addArtifact(repository, { content: utf8('firmware'), version: '1.0.0' })
    const root = registry.addIndex(repository, { manifests: [manifest], tag: '1.0.0' })
    for (const [wanted, { digest }] of [
      [signRoot, root],
      [signManifest, manifest],
    ] as const) {
      if (wanted) await putSignatures(registry, digest, manifestOf([layerJson(registry, await byAlice(digest))]))
    }
    return { registry, subject: subjectOf(root, manifest), root, manifest }
  }

  test('a signed root covers all, and the manifest is not asked for', async () => {
    const stage = await index(true, true)
    expect(await judge(stage)).toMatchObject({ outcome: 'passed', covers: 'root' })
    expect(stage.registry.calls.filter((call) => call.startsWith('resolve')).length).toBe(1)
  })

  test('a signed manifest covers itself alone, and the root is told as unsigned', async () => {
    const { outcome, covers, checks } = await judge(await index(false, true))
    expect({ outcome, covers }).toEqual({ outcome: 'passed', covers: 'manifest' })
    expect(checks).toContainEqual(
      expect.objectContaining({ name: 'SIGNATURE_NOT_FOUND', status: 'skipped', reason: expect.stringContaining('root: ') }),
    )
  })

  test('without any signature both are reasons', async () => {
    const { outcome, checks } = await judge(await index(false, false))
    expect(outcome).toBe('SIGNATURE_NOT_FOUND SIGNATURE_NOT_FOUND')
    expect(checks.map(({ reason }) => reason?.split(':')[0])).toEqual(['manifest', 'root'])
  })

  test('a signature of the manifest under the tag of the root signs neither', async () => {
    const { registry, subject, root, manifest } = await index(false, false)
    await putSignatures(registry, root.digest, manifestOf([layerJson(registry, await byAlice(manifest.digest))]))
    expect((await judge({ registry, subject })).outcome).toBe('SIGNATURE_NOT_FOUND SIGNATURE_OTHER_ARTIFACT')
  })

  test('a root whose signatures cannot be asked for is inconclusive, even where the manifest is signed', async () => {
    const { registry, subject, root } = await index(false, true)
    const resolve: Registry['resolve'] = async (name, options) => {
      if (name.includes(root.digest.slice(7))) throw coreError('REGISTRY_UNAVAILABLE', 'down')
      return registry.resolve(name, options)
    }
    expect((await judge({ registry: { ...registry, resolve }, subject })).checks).toEqual([
      { name: 'SIGNATURE_UNREACHABLE', status: 'inconclusive', reason: 'down' },
    ])
  })
})

describe('a registry that fails', () => {
  const failing = (error: unknown, part: 'resolve' | 'manifest' | 'payload') => async () => {
    const { registry, subject } = await scene(byAlice)
    let fetches = 0
    return {
      subject,
      registry: {
        resolve: part === 'resolve' ? async () => Promise.reject(error) : registry.resolve,
        fetch: async (...call: Parameters<Registry['fetch']>) => {
          fetches++
          if (part === (fetches === 1 ? 'manifest' : 'payload')) throw error
          return registry.fetch(...call)
        },
      },
    }
  }
  const parts = ['resolve', 'manifest', 'payload'] as const

  test.each(parts)('while %s is asked for and cannot answer is inconclusive', async (part) => {
    for (const error of [
      coreError('REGISTRY_UNAVAILABLE', 'down'),
      new TypeError('fetch failed'),
      new OtaError('X', 'internal', 'bug'),
      new OtaError('X', 'unsupported', 'no'),
    ]) {
      const { outcome, checks } = await judge(await failing(error, part)())
      expect(outcome).toBe('SIGNATURE_UNREACHABLE')
      expect(checks.map(({ status }) => status)).toContain('inconclusive')
    }
  })

  test.each(parts)('while %s is asked for and refuses is a failed check', async (part) => {
    const { outcome } = await judge(await failing(new OtaError('CREDENTIALS_REJECTED', 'rejected', 'no'), part)())
    expect(outcome).toBe('SIGNATURE_UNREADABLE')
  })

  test('and lacks what it resolved leaves the artifact unsigned, and what a layer names leaves it incomplete', async () => {
    const missing = coreError('NOT_FOUND', 'none')
    expect((await judge(await failing(missing, 'resolve')())).outcome).toBe('SIGNATURE_NOT_FOUND')
    expect((await judge(await failing(missing, 'manifest')())).outcome).toBe('SIGNATURE_NOT_FOUND')
    expect((await judge(await failing(missing, 'payload')())).outcome).toBe('SIGNATURE_INVALID')
  })

  test('for one signature does not matter where another counts, and does where it might have', async () => {
    const stage = async (...makers: Parameters<typeof scene>) => {
      const made = await scene(...makers)
      const { payload } = await byMallory(made.manifest.digest)
      const fetch: Registry['fetch'] = async (name, descriptor, options) => {
        if (descriptor.digest === digestOf(payload)) throw coreError('REGISTRY_UNAVAILABLE', 'down')
        return made.registry.fetch(name, descriptor, options)
      }
      return { subject: made.subject, registry: { ...made.registry, fetch } }
    }
    const tagged = (digest: Digest) => signed(alice, digest, formatPayload({ digest, dockerReference: 'x/y:1' }))
    expect((await judge(await stage(byMallory, tagged))).outcome).toBe('passed')
    expect((await judge(await stage(byMallory, () => byAlice(digestOf(utf8('other')))))).outcome).toBe('SIGNATURE_UNREACHABLE')
    const both = { keys: [alice.publicKeyPem, bob.publicKeyPem], threshold: 2 }
    expect((await judge(await stage(tagged), both)).outcome).toBe('SIGNATURE_THRESHOLD')
    expect((await judge(await stage(tagged, byMallory), both)).outcome).toBe('SIGNATURE_UNREACHABLE')
    // One unread signature could not make two.
    expect((await judge(await stage(byMallory), both)).outcome).toBe('SIGNATURE_THRESHOLD')
  })

  test.each(parts)('by hanging while %s is asked for lets go at the abort of the caller', async (part) => {
    const { registry, subject } = await scene(byAlice)
    const controller = new AbortController()
    const hang = (): Promise<never> => {
      queueMicrotask(() => controller.abort(new Error('enough')))
      return new Promise(() => {})
    }
    let fetches = 0
    const from = {
      resolve: part === 'resolve' ? hang : registry.resolve,
      fetch: async (...call: Parameters<Registry['fetch']>) => {
        fetches++
        const stream = await registry.fetch(...call)
        if (part !== (fetches === 1 ? 'manifest' : 'payload')) return stream
        return part === 'manifest' ? hang() : { [Symbol.asyncIterator]: () => ({ next: hang }) }
      },
    }
    await expect(cosignVerifier(alices).verify(subject, contextOf(from, controller.signal))).rejects.toMatchObject({
      code: 'ABORTED',
      fault: 'aborted',
    })
  })
})

describe('cosignVerifier options', () => {
  const keys = [alice.publicKeyPem]

  test.each<[string, unknown]>([
    ['no keys', { keys: [] }],
    ['keys that are no list', { keys: alice.publicKeyPem }],
    ['33 keys', { keys: Array.from({ length: 33 }, () => alice.publicKeyPem) }],
    ['a threshold of 0', { keys, threshold: 0 }],
    ['a threshold beyond the keys', { keys, threshold: 2 }],
    ['half a threshold', { keys, threshold: 0.5 }],
    ['an unknown identity', { keys, identity: 'match' }],
    ['an empty repository', { keys, identity: { repository: '' } }],
    ['no identity', { keys, identity: null }],
  ])('refuses %s at once', (_, options) => {
    expect(() => cosignVerifier(options as CosignVerifierOptions)).toThrow(
      expect.objectContaining({ code: 'VERIFIER_OPTIONS_INVALID', fault: 'invalid' }),
    )
  })

  test('refuses a key that is none at once', () => {
    expect(() => cosignVerifier({ keys: ['cosign.pub'] })).toThrow(expect.objectContaining({ code: 'PUBLIC_KEY_INVALID' }))
  })

  test('make the policy: other keys, thresholds and identities are other policies; order and names are not', () => {
    const both = [alice.publicKeyPem, bob.publicKeyPem]
    const policies: CosignVerifierOptions[] = [
      { keys },
      { keys: both },
      { keys: both, threshold: 2 },
      { keys, identity: 'match-repository' },
      { keys, identity: { repository: 'a' } },
      { keys, identity: { repository: 'b' } },
      { keys, identity: { repository: 'ignore' } },
    ]
    expect(new Set(policies.map((options) => cosignVerifier(options).policy)).size).toBe(policies.length)
    const same: CosignVerifierOptions[] = [
      { keys: both },
      { keys: both.toReversed() },
      { keys: [...both, ...both], threshold: 1, identity: 'ignore' },
      { keys: [{ pem: alice.publicKeyPem, name: 'a' }, utf8(bob.publicKeyPem)] },
    ]
    expect(new Set(same.map((options) => cosignVerifier(options).policy)).size).toBe(1)
  })

  test('make a frozen plain object that says what it is', () => {
    const verifier = cosignVerifier({ keys })
    expect(Object.isFrozen(verifier)).toBe(true)
    expect(verifier).toMatchObject({ kind: 'signature-verifier', name: 'cosign', spec: 0, policy: expect.stringMatching(/^sha256:/) })
  })
})

test('a digest that no tag can hold is unsigned', async () => {
  const registry = memoryRegistry()
  const subject = subjectOf({ mediaType: 'x/y', digest: `sha512:${'0'.repeat(128)}`, size: 1 })
  const { outcome, checks } = await judge({ registry, subject })
  expect(outcome).toBe('SIGNATURE_NOT_FOUND')
  expect(checks[0]?.reason).toContain('no tag can hold')
})

test('every failed or inconclusive check has a code of the table', async () => {
  const stages = [scene(), scene(byMallory), scene(() => byAlice(digestOf(utf8('x'))))]
  const checks: Check[] = []
  for (const stage of stages) checks.push(...(await judge(await stage)).checks)
  for (const { name } of checks) expect(Object.keys(cosignErrors)).toContain(name)
})
