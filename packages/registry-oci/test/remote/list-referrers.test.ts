import { type Descriptor, mediaTypes } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { all, artifactOf, bytesOf, descriptorOf, noise } from '../content.ts'
import { type Handler, hostileRegistry, json, testRegistry } from '../hostile-registry.ts'

const subject = artifactOf(descriptorOf(noise(10))).descriptor
const sbom = artifactOf(descriptorOf(noise(11)), { artifactType: 'application/vnd.example.sbom', subject, annotations: { a: 'b' } })
const note = artifactOf(descriptorOf(noise(12)), { artifactType: 'application/vnd.example.note', subject })
const foreign = artifactOf(descriptorOf(noise(13)), { artifactType: 'application/vnd.example.note', subject: sbom.descriptor })
const fallbackTag = subject.digest.replace(':', '-')

const indexOf = (...manifests: readonly Descriptor[]) => ({ schemaVersion: 2, mediaType: mediaTypes.index, manifests })

/** Serves manifests by digest, the fallback tag where given, and the list of referrers as `list` says. */
function serving(list: Handler, tagged?: unknown): Handler {
  return (request, response) => {
    if (request.url.startsWith('/v2/a/referrers/')) return list(request, response)
    const name = request.url.split('/').at(-1)
    const found = [sbom, note, foreign].find(({ descriptor }) => descriptor.digest === name)
    const isTag = name === fallbackTag && tagged !== undefined
    if (found === undefined && !isTag) return void response.writeHead(404).end()
    response.setHeader('content-type', isTag ? mediaTypes.index : mediaTypes.manifest)
    response.end(isTag ? bytesOf(tagged) : found?.bytes)
  }
}

const listing =
  (...manifests: readonly Descriptor[]): Handler =>
  (_, response) =>
    json(response, 200, indexOf(...manifests), { 'content-type': mediaTypes.index })
const unknown: Handler = (_, response) => void response.writeHead(404).end('404 page not found')
const types = async (found: AsyncIterable<Descriptor>) => (await all(found)).map(({ digest, artifactType }) => [digest, artifactType])

describe('listing referrers at a remote registry', () => {
  test('applies the filter whether or not the registry says that it did', async () => {
    const typed = [
      { ...sbom.descriptor, artifactType: 'application/vnd.example.sbom' },
      { ...note.descriptor, artifactType: 'application/vnd.example.note' },
    ]
    for (const headers of [{}, { 'oci-filters-applied': 'artifactType' }]) {
      const peer = await hostileRegistry(
        serving((_, response) => json(response, 200, indexOf(...typed), { 'content-type': mediaTypes.index, ...headers })),
      )
      const found = await all(
        testRegistry().registry.referrers(`${peer.host}/a`, subject, { artifactType: 'application/vnd.example.note' }),
      )
      expect(found.map(({ digest }) => digest)).toEqual([note.descriptor.digest])
      expect(peer.lines()).toEqual([`GET /v2/a/referrers/${subject.digest}?artifactType=application%2Fvnd.example.note`])
    }
  })

  test('looks up entries whose type is missing or that of an empty config, and passes over those of another subject', async () => {
    const list = listing({ ...sbom.descriptor, artifactType: mediaTypes.empty }, note.descriptor, foreign.descriptor)
    const peer = await hostileRegistry(serving(list))
    const { registry } = testRegistry()
    expect(await types(registry.referrers(`${peer.host}/a`, subject))).toEqual([
      [sbom.descriptor.digest, 'application/vnd.example.sbom'],
      [note.descriptor.digest, 'application/vnd.example.note'],
    ])
    const [found] = await all(registry.referrers(`${peer.host}/a`, subject, { artifactType: 'application/vnd.example.sbom' }))
    expect(found?.annotations).toEqual({ a: 'b' })
  })

  test('reads the tag schema where the registry keeps no list, and finds nothing where there is no tag', async () => {
    const tagged = indexOf({ ...sbom.descriptor, artifactType: 'application/vnd.example.sbom' }, note.descriptor)
    const peer = await hostileRegistry(serving(unknown, tagged))
    expect(
      await types(testRegistry().registry.referrers(`${peer.host}/a`, subject, { artifactType: 'application/vnd.example.note' })),
    ).toEqual([[note.descriptor.digest, 'application/vnd.example.note']])
    const none = await hostileRegistry(serving(unknown))
    expect(await all(testRegistry().registry.referrers(`${none.host}/a`, subject))).toEqual([])
    expect(none.lines()).toEqual([`GET /v2/a/referrers/${subject.digest}`, `GET /v2/a/manifests/${fallbackTag}`])
  })

  test('follows pages, and ends those that lead back or never end', async () => {
    const typed = (one: Descriptor) => ({ ...one, artifactType: 'application/x' })
    const peer = await hostileRegistry(
      serving(({ url }, response) => {
        const second = url.includes('page=2')
        json(response, 200, indexOf(typed(second ? note.descriptor : sbom.descriptor)), {
          'content-type': mediaTypes.index,
          ...(second ? {} : { link: '<?page=2>; rel="next"' }),
        })
      }),
    )
    expect((await all(testRegistry().registry.referrers(`${peer.host}/a`, subject))).length).toBe(2)
    const circle = await hostileRegistry(
      serving((_, response) => json(response, 200, indexOf(), { 'content-type': mediaTypes.index, link: '<?page=2>; rel="next"' })),
    )
    await expect(all(testRegistry().registry.referrers(`${circle.host}/a`, subject))).rejects.toMatchObject({ code: 'PAGES_LOOP' })
    const many = listing(...Array.from({ length: 20 }, () => typed(sbom.descriptor)))
    const flood = await hostileRegistry(serving(many))
    const { registry } = testRegistry({ limits: { referrers: 10 } })
    await expect(all(registry.referrers(`${flood.host}/a`, subject))).rejects.toMatchObject({
      code: 'TOO_MANY_REFERRERS',
      // It says nothing of a release: an update under way waits.
      concerns: 'access',
    })
  })

  test('refuses a list that is none', async () => {
    const html: Handler = (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
    const broken: Handler = (_, response) => void response.writeHead(200, { 'content-type': mediaTypes.index }).end('{}')
    for (const [handler, code] of [
      [html, 'NOT_A_MANIFEST'],
      [broken, 'INVALID_MANIFEST'],
    ] as const) {
      const peer = await hostileRegistry(serving(handler))
      await expect(all(testRegistry().registry.referrers(`${peer.host}/a`, subject))).rejects.toMatchObject({ code })
    }
  })
})
