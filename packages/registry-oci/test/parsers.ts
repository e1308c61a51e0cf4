import { mediaTypes, type OtaError, parseDescriptor, streamOf } from '@reflash/core'
import { fuzzParser, type Mutation, mutateBytes, mutateJsonBytes, mutateText, type ParserFuzz } from '@reflash/core/testing'
import { type LayoutEntry, parseLayoutIndex, refName } from '../src/layout/layout-index.ts'
import { checkStatedType } from '../src/manifest-bytes.ts'
import { refusalOf } from '../src/remote/answer.ts'
import { parseToken, tokenUrl } from '../src/remote/authorization.ts'
import { type Challenge, parseChallenges } from '../src/remote/challenge.ts'
import { nextLink } from '../src/remote/link.ts'
import { parseTags } from '../src/remote/list-tags.ts'
import { remoteRepository } from '../src/remote/remote-repository.ts'
import { tagPattern } from '../src/tag-pattern.ts'
import { cosignParsers } from './cosign/parsers.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const bytesOf = (document: unknown): Uint8Array => utf8(JSON.stringify(document))
const digest = `sha256:${'a'.repeat(64)}`
const url = new URL('https://registry.test/v2/fw/board/')

const repository = fuzzParser<string, ReturnType<typeof remoteRepository>>({
  name: 'remote repository',
  corpus: ['registry.example.com:5000/firmware/lamp', '127.0.0.1:5000/a', '[::1]:5000/a__b/c-d.e', 'docker.io/library/x'],
  mutations: [mutateText(['/', '.', ':', '-', '_', '[', ']', '%', '@', '..', '0', '65536', 'localhost', 'xn--'])],
  parse: (text) => remoteRepository(text, undefined),
  codes: { INVALID_REFERENCE: 'invalid' },
  holds: ({ base, host, name }) => {
    // Nothing of the text may lead to another place of the same server, or to another server.
    const address = host === 'docker.io' ? 'registry-1.docker.io' : host
    if (base.pathname !== `/v2/${name}/` || base.search !== '' || base.hash !== '' || base.username !== '' || base.password !== '')
      throw new Error(`expected the base of ${name}, found ${base}`)
    if (base.hostname !== new URL(`http://${address}`).hostname) throw new Error(`expected host ${host}, found ${base.hostname}`)
  },
})

const challengeWords = [
  'Bearer ',
  'Basic ',
  'realm=',
  '"',
  ',',
  '=',
  ' ',
  '\\',
  '\\"',
  'scope="a b"',
  'realm="https://other.test/token"',
  'a68==',
  ';',
  '\t',
]
const challengeCorpus = [
  'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:fw/board:pull"',
  'Basic realm="registry \\"of\\" test", Bearer realm="https://auth.test/token"',
  'Negotiate a68token==, Basic realm=x',
]

const challenges = fuzzParser<string, readonly Challenge[]>({
  name: 'WWW-Authenticate',
  corpus: challengeCorpus,
  mutations: [mutateText(challengeWords)],
  // What cannot be read is left out: this parser never throws.
  parse: (header) => parseChallenges(header),
  codes: {},
  holds: (read) => {
    if (read.length > 16) throw new Error(`expected at most 16 challenges, found ${read.length}`)
    for (const { scheme, parameters } of read) {
      if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(scheme)) throw new Error(`expected a scheme, found ${JSON.stringify(scheme)}`)
      for (const name of parameters.keys()) if (name !== name.toLowerCase()) throw new Error(`expected lower case, found ${name}`)
    }
  },
})

const realm = fuzzParser<string, URL | undefined>({
  name: 'token realm of a challenge',
  corpus: challengeCorpus,
  mutations: [mutateText([...challengeWords, 'https://', 'http://', '//', 'repository:', ':pull,push', ' repository:other:delete'])],
  parse: (header) => {
    const challenge = parseChallenges(header).find(({ scheme }) => scheme === 'bearer')
    return challenge === undefined ? undefined : tokenUrl({ host: url.host, name: 'fw/board', base: url }, 'pull', challenge)
  },
  codes: { REGISTRY_PROTOCOL: 'invalid' },
  holds: (read) => {
    if (read !== undefined && !read.searchParams.getAll('scope').includes('repository:fw/board:pull'))
      throw new Error('expected our own scope')
  },
})

const token = fuzzParser<Uint8Array, ReturnType<typeof parseToken>>({
  name: 'answer of a token server',
  corpus: [{ token: 'abc.def', expires_in: 300, issued_at: '2026-01-01T00:00:00Z' }, { access_token: 'x' }].map(bytesOf),
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: (bytes) => parseToken(bytes, url, 1000),
  codes: { REGISTRY_PROTOCOL: 'invalid' },
  holds: ({ header, until }) => {
    if (!/^Bearer [!-~]+$/.test(header)) throw new Error('expected a header of one line')
    if (!(until >= 1000)) throw new Error(`expected a time that is not past, found ${until}`)
  },
})

const link = fuzzParser<string, string | undefined>({
  name: 'Link',
  corpus: ['</v2/a/tags/list?n=1&last=b>; rel="next"', '<a>; rel=prev, <b>; title="x, y"; rel="first next"'],
  mutations: [mutateText(['<', '>', ';', ',', 'rel=', 'next', '"', '\\', ' ', '<x>; rel="next"'])],
  // What cannot be read names no next page: this parser never throws.
  parse: (header) => nextLink(header),
  codes: {},
  holds: (target) => {
    if (target !== undefined && /[<>]/.test(target)) throw new Error(`expected one target, found ${target}`)
  },
})

const tags = fuzzParser<Uint8Array, readonly string[]>({
  name: 'list of tags',
  corpus: [{ name: 'a', tags: ['1.0.0', 'v1.1.0', 'latest'] }, { tags: null }].map(bytesOf),
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: (bytes) => parseTags(bytes, 'tags of registry.test/a'),
  codes: { REGISTRY_PROTOCOL: 'invalid' },
  holds: (read) => {
    for (const tag of read) if (!tagPattern.test(tag)) throw new Error(`expected a tag, found ${JSON.stringify(tag)}`)
  },
})

/** An answer that nobody hoped for. */
interface Refusal {
  readonly status: number
  readonly retryAfter: string
  readonly body: Uint8Array
}

const refusalBodies = [
  { errors: [{ code: 'DENIED', message: 'no', detail: {} }, { code: 'UNAUTHORIZED' }] },
  { errors: [{ code: 'MANIFEST_UNKNOWN' }] },
  'oops',
].map(bytesOf)
const changeRefusal: Mutation<Refusal> = (refusal, random, other) => ({
  status: random.once(2) ? refusal.status : random.pick([100, 204, 206, 301, 304, 400, 401, 403, 404, 408, 416, 429, 500, 503, 599, 999]),
  retryAfter: mutateText(['Sat, 21 Nov 2026 10:00:00 GMT', '1', '-', '1e9', '.'])(refusal.retryAfter, random, other.retryAfter),
  body: mutateJsonBytes(refusal.body, random, other.body),
})

const refusal = fuzzParser<Refusal, void>({
  name: 'error document of a registry',
  corpus: [],
  hostile: refusalBodies.flatMap((body) => [401, 404, 429, 503].map((status) => ({ status, retryAfter: '120', body }))),
  mutations: [changeRefusal],
  parse: async ({ status, retryAfter, body }) => {
    const headers = { 'retry-after': retryAfter, date: 'Sat, 21 Nov 2026 09:00:00 GMT' }
    const error: OtaError = await refusalOf({ status, headers, body: streamOf(body), discard: () => {} }, url, 'tags')
    const { retryAfterMs = 0 } = error.details as { readonly retryAfterMs?: number }
    if (!(retryAfterMs >= 0 && Number.isFinite(retryAfterMs))) throw new Error(`expected a time to wait, found ${retryAfterMs}`)
    throw error
  },
  codes: {
    REGISTRY_DENIED: 'rejected',
    NOT_FOUND: 'invalid',
    REGISTRY_UNAVAILABLE: 'unavailable',
    REGISTRY_BUSY: 'unavailable',
    REGISTRY_REFUSED: 'invalid',
    REGISTRY_PROTOCOL: 'invalid',
  },
})

const manifests = [{ mediaType: mediaTypes.manifest, digest, size: 400, annotations: { [refName]: '1.0.0' } }]
const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests }

const layoutIndex = fuzzParser<Uint8Array, readonly LayoutEntry[]>({
  name: 'index.json of a layout',
  corpus: [index, { ...index, manifests: [] }].map(bytesOf),
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: (bytes) => parseLayoutIndex(bytes, '/srv/layout'),
  codes: { INVALID_LAYOUT: 'invalid' },
  holds: (entries) => {
    for (const { descriptor } of entries) parseDescriptor(descriptor)
  },
})

const statedType = fuzzParser<Uint8Array, void>({
  name: 'stated media type',
  corpus: [index, {}].map(bytesOf),
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: (bytes) => checkStatedType(bytes, mediaTypes.index, 'manifest'),
  codes: { MEDIA_TYPE_MISMATCH: 'rejected', INVALID_MANIFEST: 'invalid' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [
  repository,
  challenges,
  realm,
  token,
  link,
  tags,
  refusal,
  layoutIndex,
  statedType,
  ...cosignParsers,
]
