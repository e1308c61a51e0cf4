import { type Check, type Digest, isOtaError } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { cosignErrors } from '../../src/cosign/cosign-errors.ts'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { generateKeyPair, openKey } from '../../src/cosign/key-file.ts'
import { formatPayload, parsePayload } from '../../src/cosign/payload.ts'
import { formatPem, parsePem } from '../../src/cosign/pem.ts'
import { parsePublicKey } from '../../src/cosign/public-key.ts'
import { parseSignatureManifest } from '../../src/cosign/signature-manifest.ts'
import { alice, bob, contextOf, layerJson, manifestOf, putSignatures, repository, scene, signed, utf8 } from './scene.ts'

/** mulberry32: a failure names its seed and can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

type Random = (below: number) => number

const odd: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  '',
  'x',
  'sha256:',
  '__proto__',
  [],
  {},
  [[]],
  { '': 0 },
  'A'.repeat(70_000),
]

/** Valid structure with one thing wrong: a value replaced, removed, doubled, or a key renamed. */
function mutateJson(value: unknown, random: Random): unknown {
  const paths: (string | number)[][] = []
  const walk = (node: unknown, path: (string | number)[]): void => {
    paths.push(path)
    if (typeof node === 'object' && node !== null)
      for (const key of Object.keys(node)) walk((node as Record<string, unknown>)[key], [...path, key])
  }
  walk(value, [])
  const path = paths[random(paths.length)] ?? []
  const change = (node: unknown, depth: number): unknown => {
    const key = path[depth]
    if (key === undefined) return mutateValue(node, random)
    const copy = (Array.isArray(node) ? [...node] : { ...(node as object) }) as Record<string, unknown>
    if (depth === path.length - 1 && random(5) === 0) {
      const kept = copy[key]
      delete copy[key]
      if (random(2) === 0) copy[`${key}${random(2) === 0 ? 's' : ''}`.toUpperCase()] = kept
      return copy
    }
    copy[key] = change(copy[key], depth + 1)
    return copy
  }
  return change(value, 0)
}

function mutateValue(node: unknown, random: Random): unknown {
  if (random(3) === 0) return odd[random(odd.length)]
  if (typeof node === 'string') return mutateText(node, random)
  if (typeof node === 'number') return [node + 1, -node, node * 2 ** random(40), node / 3, String(node)][random(5)]
  if (Array.isArray(node)) return random(2) === 0 ? [...node, ...node] : node.slice(1)
  return [node]
}

function mutateText(text: string, random: Random): string {
  const at = random(text.length + 1)
  const junk = [' ', '\n', '\0', '"', '=', 'A', '\ud800', '{', ':'][random(9)] ?? ''
  switch (random(5)) {
    case 0:
      return text.slice(0, at)
    case 1:
      return text.slice(0, at) + junk + text.slice(at)
    case 2:
      return text.slice(0, at) + junk + text.slice(at + 1)
    case 3:
      return text.toUpperCase()
    default:
      return text + text
  }
}

function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = new Uint8Array(bytes)
  for (let times = random(3); times >= 0; times--) copy[random(copy.length)] = random(256)
  return (
    [copy, copy.subarray(0, random(copy.length + 1)), new Uint8Array([...copy, random(256)]), copy.subarray(random(copy.length))][
      random(4)
    ] ?? copy
  )
}

/** Nothing but an OtaError of this fault may escape. */
function expectError(error: unknown, seed: number, faults: readonly string[]): string {
  if (!isOtaError(error)) throw new Error(`seed ${seed} made ${String(error)} escape`, { cause: error })
  if (!faults.includes(error.fault)) throw new Error(`seed ${seed} made ${error.code} (${error.fault}) escape`)
  return error.code
}

describe('seeded mutations', () => {
  test('of a payload escape as SIGNATURE_PAYLOAD_INVALID or are read', () => {
    const whole = formatPayload({ digest: `sha256:${'a'.repeat(64)}`, dockerReference: repository, optional: { a: [1, { b: 'c' }] } })
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 4000; seed++) {
      const random = randomOf(seed)
      const bytes =
        seed % 2 === 0 ? mutateBytes(whole, random) : utf8(JSON.stringify(mutateJson(JSON.parse(new TextDecoder().decode(whole)), random)))
      try {
        const { digest, dockerReference } = parsePayload(bytes)
        outcomes.add(`${typeof digest} ${typeof dockerReference}`)
      } catch (error) {
        outcomes.add(expectError(error, seed, ['rejected']))
      }
    }
    expect([...outcomes].sort()).toEqual(['SIGNATURE_PAYLOAD_INVALID', 'string string'])
  })

  test('of a signature manifest escape as SIGNATURE_MANIFEST_INVALID or are read', () => {
    const document = manifestOf([{ digest: 'x', size: 1, annotations: { a: 'b' } }, { mediaType: 'y' }])
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 4000; seed++) {
      const random = randomOf(seed)
      const bytes =
        seed % 2 === 0 ? mutateBytes(utf8(JSON.stringify(document)), random) : utf8(JSON.stringify(mutateJson(document, random)) ?? '')
      try {
        outcomes.add(typeof parseSignatureManifest(bytes, 'application/vnd.oci.image.manifest.v1+json').layers)
      } catch (error) {
        outcomes.add(expectError(error, seed, ['rejected']))
      }
    }
    expect([...outcomes].sort()).toEqual(['SIGNATURE_MANIFEST_INVALID', 'object'])
  })

  test('of a public key escape as PUBLIC_KEY_INVALID or PUBLIC_KEY_WEAK or are another key', () => {
    const block = parsePem(alice.publicKeyPem)
    const der = typeof block === 'string' ? new Uint8Array() : block.bytes
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 3000; seed++) {
      const random = randomOf(seed)
      try {
        const key = parsePublicKey(seed % 2 === 0 ? mutateBytes(der, random) : mutateText(alice.publicKeyPem, random))
        if (key.identity !== alice.identity) outcomes.add('another key')
      } catch (error) {
        outcomes.add(expectError(error, seed, ['invalid']))
      }
    }
    expect(outcomes).toContain('PUBLIC_KEY_INVALID')
  })

  test('of a key file escape as coded errors of the caller or open the same key', async () => {
    const pair = await generateKeyPair('password')
    const block = parsePem(pair.privateKeyPem)
    const json = JSON.parse(new TextDecoder().decode(typeof block === 'string' ? utf8('{}') : block.bytes))
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 400; seed++) {
      const random = randomOf(seed)
      const changed = mutateJson(json, random)
      // Opening costs 0.2 s: what would be opened is made cheap, and so refused by its password.
      const cheap = JSON.parse(JSON.stringify(changed ?? null), (key, value) => (key === 'N' && value === 65_536 ? 16_384 : value))
      const pem =
        seed % 4 === 0 ? mutateText(pair.privateKeyPem, random) : formatPem('ENCRYPTED SIGSTORE PRIVATE KEY', utf8(JSON.stringify(cheap)))
      if (pem.trim() === pair.privateKeyPem.trim()) continue
      try {
        // White space around the lines of PEM changes nothing.
        expect((await openKey(pem, 'password')).publicKeyPem).toBe(pair.publicKeyPem)
      } catch (error) {
        outcomes.add(expectError(error, seed, ['invalid']))
      }
    }
    expect([...outcomes].sort()).toEqual(['KEY_FILE_INVALID', 'KEY_FILE_TOO_COSTLY', 'KEY_PASSWORD_WRONG'])
  })

  test('of stored signatures pass only where an untouched signature is left, and reach every code that content can reach', async () => {
    const { registry, manifest, subject } = await scene()
    const elsewhere = formatPayload({ digest: manifest.digest, dockerReference: 'other.test/app' })
    const verifier = cosignVerifier({ keys: [alice.publicKeyPem, bob.publicKeyPem], threshold: 2, identity: 'match-repository' })
    const seen = new Set<string>()
    for (let seed = 0; seed < 1500; seed++) {
      const random = randomOf(seed)
      const layers = [await signed(alice, manifest.digest), await signed(bob, manifest.digest)]
      const touched = random(4)
      if (touched === 0) layers[1] = { ...(layers[1] as (typeof layers)[0]), payload: mutateBytes(layers[1]?.payload ?? elsewhere, random) }
      if (touched === 1) layers.splice(0, 2, await otherClaim(random, elsewhere), await otherClaim(random, elsewhere))
      const document = manifestOf(layers.map((layer) => layerJson(registry, layer)))
      await putSignatures(registry, manifest.digest, (touched === 2 ? (mutateJson(document, random) ?? null) : document) as never)
      const { checks, signer } = await verifier.verify(subject, contextOf(registry))
      for (const check of checks) seen.add(check.name)
      if (signer !== undefined) expect(signer.identity.split(' ')).toEqual([alice.identity, bob.identity].sort())
      expect(passes(checks), `seed ${seed}`).toBe(signer !== undefined)
      if (touched < 2) expect(passes(checks), `seed ${seed}`).toBe(false)
    }
    const codes = Object.keys(cosignErrors).filter((code) => seen.has(code))
    expect(codes.sort()).toEqual(
      [
        'SIGNATURE_NOT_FOUND',
        'SIGNATURE_MANIFEST_INVALID',
        'SIGNATURE_INVALID',
        'SIGNATURE_OTHER_KEY',
        'SIGNATURE_PAYLOAD_INVALID',
        'SIGNATURE_OTHER_ARTIFACT',
        'SIGNATURE_OTHER_IDENTITY',
        'SIGNATURE_THRESHOLD',
      ].sort(),
    )
  })
})

/** Genuine signatures of what should not count. */
async function otherClaim(random: Random, elsewhere: Uint8Array) {
  const digest: Digest = `sha256:${'0'.repeat(64)}`
  const payload = [elsewhere, formatPayload({ digest, dockerReference: repository }), utf8('{"critical":{}}')][random(3)] ?? elsewhere
  return signed(random(2) === 0 ? alice : bob, digest, payload)
}

function passes(checks: readonly Check[]): boolean {
  return checks.every(({ status }) => status === 'passed' || status === 'skipped')
}
