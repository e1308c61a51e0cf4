import { describe, expect, test } from 'vitest'
import { all } from '../content.ts'
import { hostileRegistry, json, testRegistry } from '../hostile-registry.ts'

describe('listing tags of a remote registry', () => {
  test('follows pages by relative links, and yields every tag once', async () => {
    const peer = await hostileRegistry(({ url }, response) => {
      const page = Number(/page=([0-9]+)/.exec(url)?.[1] ?? 0)
      const link = page === 0 ? '?page=1' : '/v2/a/tags/list?page=2'
      json(response, 200, { name: 'a', tags: [`1.${page}.0`, 'latest'] }, page < 2 ? { link: `<${link}>; rel="next"` } : {})
    })
    expect(await all(testRegistry().registry.tags(`${peer.host}/a`))).toEqual(['1.0.0', 'latest', '1.1.0', '1.2.0'])
    expect(peer.lines()).toEqual(['GET /v2/a/tags/list', 'GET /v2/a/tags/list?page=1', 'GET /v2/a/tags/list?page=2'])
  })

  test('ends a list that leads back, and one without end', async () => {
    const circle = await hostileRegistry(({ url }, response) => {
      const next = url.endsWith('page=2') ? '?page=1' : '?page=2'
      json(response, 200, { tags: [] }, { link: `<${next}>; rel=next` })
    })
    await expect(all(testRegistry().registry.tags(`${circle.host}/a`))).rejects.toMatchObject({ code: 'PAGES_LOOP' })
    expect(circle.seen.length).toBe(3)
    let page = 0
    const endless = await hostileRegistry((_, response) =>
      json(response, 200, { tags: [`t${page}`] }, { link: `<?page=${++page}>; rel=next` }),
    )
    await expect(all(testRegistry({ limits: { tagPages: 5 } }).registry.tags(`${endless.host}/a`))).rejects.toMatchObject({
      code: 'TOO_MANY_TAGS',
    })
    await expect(all(testRegistry({ limits: { tags: 3 } }).registry.tags(`${endless.host}/a`))).rejects.toMatchObject({
      code: 'TOO_MANY_TAGS',
    })
  })

  test('does not take its credentials to another origin for the next page', async () => {
    const other = await hostileRegistry((_, response) => json(response, 200, { tags: ['9.9.9'] }))
    const peer = await hostileRegistry((_, response) =>
      json(response, 200, { tags: ['1.0.0'] }, { link: `<http://${other.host}/v2/a/tags/list>; rel="next"` }),
    )
    await expect(all(testRegistry().registry.tags(`${peer.host}/a`))).rejects.toMatchObject({ code: 'FOREIGN_PAGE' })
    expect(other.seen).toEqual([])
  })

  test('leaves out what is no tag, and takes null for an empty list', async () => {
    const peer = await hostileRegistry((_, response) =>
      json(response, 200, { tags: ['1.0.0', '', '../x', 7, null, 'a b', `${'x'.repeat(129)}`, 'ok'] }),
    )
    expect(await all(testRegistry().registry.tags(`${peer.host}/a`))).toEqual(['1.0.0', 'ok'])
    const empty = await hostileRegistry((_, response) => json(response, 200, { name: 'a', tags: null }))
    expect(await all(testRegistry().registry.tags(`${empty.host}/a`))).toEqual([])
  })

  test('refuses what is no list, and one that is too large', async () => {
    for (const body of ['', 'x', 'null', '[]', '{"tags":{}}', '{"tags":"x"}', Buffer.from([0xff, 0xfe])]) {
      const peer = await hostileRegistry((_, response) => void response.end(body))
      await expect(all(testRegistry().registry.tags(`${peer.host}/a`))).rejects.toMatchObject({ code: 'REGISTRY_PROTOCOL' })
    }
    const large = await hostileRegistry((_, response) => void response.end(Buffer.alloc(5_000_000, 32)))
    await expect(all(testRegistry().registry.tags(`${large.host}/a`))).rejects.toMatchObject({ code: 'TOO_MANY_TAGS' })
  })

  test('can be left early', async () => {
    const peer = await hostileRegistry((_, response) => json(response, 200, { tags: ['1.0.0'] }, { link: '<?page=1>; rel=next' }))
    for await (const _ of testRegistry().registry.tags(`${peer.host}/a`)) break
    expect(peer.seen.length).toBe(1)
  })
})
