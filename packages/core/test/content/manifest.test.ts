import { describe, expect, it } from 'vitest'
import { descriptorLimit, manifestKind, parseDescriptor, parseIndex, parseManifest } from '../../src/content/manifest.ts'
import { digestOf, manifestLimitBytes, mediaTypes } from '../../src/index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const json = (document: unknown): Uint8Array => bytes(JSON.stringify(document))

const empty = { mediaType: mediaTypes.empty, digest: digestOf(bytes('{}')), size: 2 }
const layer = {
  mediaType: 'application/octet-stream',
  digest: digestOf(bytes('image')),
  size: 5,
  annotations: { 'org.opencontainers.image.title': 'a.bin' },
}
const artifact = {
  schemaVersion: 2,
  mediaType: mediaTypes.manifest,
  artifactType: 'application/vnd.example.fw',
  config: empty,
  layers: [layer],
  annotations: { a: 'b' },
}
const child = {
  mediaType: mediaTypes.manifest,
  digest: digestOf(bytes('child')),
  size: 400,
  platform: { os: 'custom', architecture: 'esp32s3', variant: 'r8' },
}
const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [child], annotations: { c: 'd' } }

const invalid = (code: string, message?: RegExp) =>
  expect.objectContaining({ code, fault: 'invalid', ...(message === undefined ? {} : { message: expect.stringMatching(message) }) })

describe('parseManifest', () => {
  it('reads an artifact manifest as ORAS pushes it', () => {
    const { schemaVersion: _, ...expected } = { ...artifact, layers: [layer] }
    expect(parseManifest(json(artifact), mediaTypes.manifest)).toEqual(expected)
  })

  it('reads an image manifest with a subject, whose media type stands only where it was served', () => {
    const { mediaType: _, artifactType: __, annotations: ___, ...rest } = { ...artifact, config: { ...empty, mediaType: 'a/config' } }
    expect(parseManifest(json({ ...rest, subject: child }), mediaTypes.manifest)).toEqual({
      mediaType: mediaTypes.manifest,
      config: { ...empty, mediaType: 'a/config' },
      layers: [layer],
      subject: child,
      annotations: {},
    })
    expect(parseManifest(json(rest)).mediaType).toBe(mediaTypes.manifest)
  })

  it('reads a Docker manifest', () => {
    const config = { ...empty, mediaType: 'application/vnd.docker.container.image.v1+json' }
    const document = { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers: [layer] }
    expect(parseManifest(json(document), mediaTypes.dockerManifest)).toMatchObject({ mediaType: mediaTypes.dockerManifest, config })
  })

  it('treats null and an empty artifact type as absent, as Go programs write them', () => {
    const document = {
      ...artifact,
      subject: null,
      annotations: null,
      config: { ...empty, mediaType: 'a/config', artifactType: '', platform: null },
      artifactType: '',
    }
    expect(parseManifest(json(document))).toMatchObject({ annotations: {}, config: { mediaType: 'a/config' } })
    expect(parseManifest(json(document))).not.toHaveProperty('subject')
  })

  it('refuses an empty config without an artifact type', () => {
    const { artifactType: _, ...rest } = artifact
    expect(() => parseManifest(json(rest))).toThrow(invalid('INVALID_MANIFEST', /artifactType/))
  })

  it.each([mediaTypes.index, mediaTypes.dockerManifest, 'application/json'])(
    'refuses a document that was served as %s and says otherwise',
    (served) => {
      expect(() => parseManifest(json(artifact), served)).toThrow(invalid('INVALID_MANIFEST', /mediaType/))
    },
  )

  it('refuses an index, served as one or not', () => {
    expect(() => parseManifest(json(index))).toThrow(invalid('INVALID_MANIFEST'))
    const { mediaType: _, ...bare } = index
    expect(() => parseManifest(json(bare))).toThrow(invalid('INVALID_MANIFEST'))
    expect(() => parseManifest(json(bare), mediaTypes.index)).toThrow(invalid('INVALID_MANIFEST'))
  })
})

describe('parseIndex', () => {
  it('reads an index and a Docker manifest list', () => {
    expect(parseIndex(json({ ...index, artifactType: 'a/b', subject: child }), mediaTypes.index)).toEqual({
      mediaType: mediaTypes.index,
      artifactType: 'a/b',
      manifests: [child],
      subject: child,
      annotations: { c: 'd' },
    })
    const list = { schemaVersion: 2, mediaType: mediaTypes.dockerIndex, manifests: [child] }
    expect(parseIndex(json(list), mediaTypes.dockerIndex)).toEqual({
      mediaType: mediaTypes.dockerIndex,
      manifests: [child],
      annotations: {},
    })
  })

  it('refuses a manifest', () => {
    expect(() => parseIndex(json(artifact))).toThrow(invalid('INVALID_MANIFEST'))
    expect(() => parseIndex(json(index), mediaTypes.manifest)).toThrow(invalid('INVALID_MANIFEST', /mediaType/))
  })
})

describe('both parsers', () => {
  it('refuse one document that is a manifest and an index at once', () => {
    const { mediaType: _, ...both } = { ...artifact, manifests: [child] }
    expect(() => parseManifest(json(both), mediaTypes.manifest)).toThrow(invalid('INVALID_MANIFEST', /manifests/))
    expect(() => parseIndex(json(both), mediaTypes.index)).toThrow(invalid('INVALID_MANIFEST', /layers|config/))
  })

  it('refuse more bytes than their limit before they are parsed', () => {
    for (const parse of [parseManifest, parseIndex]) {
      expect(() => parse(new Uint8Array(manifestLimitBytes + 1))).toThrow(invalid('MANIFEST_TOO_LARGE'))
    }
  })

  it('refuse more entries than their limit, and accept as many', () => {
    const many = (count: number) => Array.from({ length: count }, () => layer)
    expect(parseManifest(json({ ...artifact, layers: many(descriptorLimit) })).layers).toHaveLength(descriptorLimit)
    expect(() => parseManifest(json({ ...artifact, layers: many(descriptorLimit + 1) }))).toThrow(invalid('INVALID_MANIFEST', /1000/))
    expect(() => parseIndex(json({ ...index, manifests: many(descriptorLimit + 1) }))).toThrow(invalid('INVALID_MANIFEST', /1000/))
  })

  it.each([
    ['no JSON', bytes('{')],
    ['nothing', new Uint8Array()],
    ['a byte order mark', bytes(`\ufeff${JSON.stringify(artifact)}`)],
    [
      'bytes that are not UTF-8',
      Uint8Array.of(...json({ ...artifact, annotations: { a: '!' } })).map((byte) => (byte === 0x21 ? 0xff : byte)),
    ],
    ['trailing text', bytes(`${JSON.stringify(artifact)}{}`)],
    ['an array', json([artifact])],
    ['a string', json('manifest')],
    ['null', json(null)],
    ['schemaVersion 1', json({ ...artifact, schemaVersion: 1 })],
    ['schemaVersion "2"', json({ ...artifact, schemaVersion: '2' })],
    ['layers as an object', json({ ...artifact, layers: { 0: layer, length: 1 } })],
    ['no layers', json({ ...artifact, layers: undefined })],
    ['annotations of numbers', json({ ...artifact, annotations: { a: 1 } })],
    ['annotations as an array', json({ ...artifact, annotations: ['a'] })],
    ['a media type as an array', json({ ...artifact, mediaType: [mediaTypes.manifest] })],
    ['an artifact type with parameters', json({ ...artifact, artifactType: 'a/b; c=d' })],
    ['brackets nested a million deep', bytes(`{"schemaVersion":2,"x":${'['.repeat(1_000_000)}`)],
  ])('refuse %s', (_, document) => {
    expect(() => parseManifest(document)).toThrow(invalid('INVALID_MANIFEST'))
    expect(() => parseIndex(document)).toThrow(invalid('INVALID_MANIFEST'))
  })

  it('survive closed brackets nested deep', () => {
    const depth = 200_000
    const document = bytes(JSON.stringify(artifact).replace('{', `{"x":${'['.repeat(depth)}${']'.repeat(depth)},`))
    expect(parseManifest(document).layers).toHaveLength(1)
  })

  it('take a key named __proto__ for a key, and read no field from a prototype', () => {
    const hostile = JSON.stringify(artifact).replace('"a":"b"', '"__proto__":"x","constructor":"y"')
    const { annotations } = parseManifest(bytes(hostile))
    expect(Object.entries(annotations)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ])
    const inherited = `{"__proto__":${JSON.stringify(artifact)},"schemaVersion":2}`
    expect(() => parseManifest(bytes(inherited))).toThrow(invalid('INVALID_DESCRIPTOR', /config/))
    expect({}).not.toHaveProperty('layers')
  })

  it('give frozen data', () => {
    const parsed = parseManifest(json(artifact))
    for (const part of [parsed, parsed.layers, parsed.layers[0], parsed.annotations, parsed.config, parsed.layers[0]?.annotations]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })
})

describe('parseDescriptor', () => {
  it('keeps the fields that count and drops others', () => {
    const extra = { ...child, artifactType: 'a/b', data: 'e30=', urls: ['http://x'], platform: { ...child.platform, 'os.version': '1' } }
    expect(parseDescriptor(extra)).toEqual({ ...child, artifactType: 'a/b' })
    expect(parseDescriptor({ ...child, platform: { os: 'linux', architecture: 'arm', variant: '' } }).platform).toEqual({
      os: 'linux',
      architecture: 'arm',
    })
  })

  it.each([
    ['an array', []],
    ['null', null],
    ['text', 'sha256:'],
    ['no media type', { ...layer, mediaType: undefined }],
    ['a media type without a slash', { ...layer, mediaType: 'json' }],
    ['a media type with a line break', { ...layer, mediaType: 'a/b\nc' }],
    ['an unknown digest algorithm', { ...layer, digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' }],
    ['an upper case digest', { ...layer, digest: layer.digest.toUpperCase() }],
    ['a digest that climbs', { ...layer, digest: 'sha256:../../../../etc/passwd' }],
    ['a negative size', { ...layer, size: -1 }],
    ['a size as text', { ...layer, size: '5' }],
    ['a broken size', { ...layer, size: 1.5 }],
    ['a size beyond 2^53', { ...layer, size: 1e300 }],
    ['annotations of lists', { ...layer, annotations: { a: ['b'] } }],
    ['a platform as text', { ...layer, platform: 'linux/arm' }],
    ['a platform without architecture', { ...layer, platform: { os: 'linux' } }],
    ['a platform with a slash', { ...layer, platform: { os: 'linux/arm', architecture: 'v7' } }],
    ['an artifact type as a number', { ...layer, artifactType: 7 }],
  ])('refuses %s, naming the place', (_, value) => {
    expect(() => parseDescriptor(value, 'layers[3]')).toThrow(invalid('INVALID_DESCRIPTOR', /^layers\[3\]/))
  })
})

it('manifestKind tells manifests, indexes and all else apart', () => {
  expect(
    [mediaTypes.manifest, mediaTypes.dockerManifest, mediaTypes.index, mediaTypes.dockerIndex, mediaTypes.empty].map(manifestKind),
  ).toEqual(['manifest', 'manifest', 'index', 'index', undefined])
})
