import { describe, expect, test } from 'vitest'
import { remoteRepository } from '../src/remote/remote-repository.ts'
import { all } from './content.ts'
import { hostileRegistry, json, testRegistry } from './hostile-registry.ts'

// OtaFlux at commit 0c612be has twelve known defects and lacks. Those that a talk with a registry has, by number.

describe('a registry is asked', () => {
  test('OtaFlux defect 3: at the host that is named, never at docker.io instead; a URL in its place is refused with what to write', async () => {
    expect(remoteRepository('registry/prefix/lamp', undefined)).toMatchObject({ host: 'registry', name: 'prefix/lamp' })
    expect(remoteRepository('registry:5000/prefix/lamp', undefined).base.href).toBe('https://registry:5000/v2/prefix/lamp/')
    const { registry } = testRegistry()
    for (const url of ['https://registry.example/prefix/lamp:1.0.0', 'http://registry.example:5000/prefix/lamp:1.0.0']) {
      const message = expect.stringContaining('expected host[:port]/') as string
      await expect(registry.resolve(url), url).rejects.toMatchObject({ code: 'INVALID_REFERENCE', message })
    }
  })

  test('OtaFlux defect 6: for all pages of its tags', async () => {
    const peer = await hostileRegistry(({ url }, response) => {
      const isLast = url.includes('last=1.9.0')
      const link = { link: '</v2/prefix/lamp/tags/list?last=1.9.0>; rel="next"' }
      json(response, 200, { tags: isLast ? ['1.10.0'] : ['1.8.0', '1.9.0'] }, isLast ? {} : link)
    })
    expect(await all(testRegistry().registry.tags(`${peer.host}/prefix/lamp`))).toEqual(['1.8.0', '1.9.0', '1.10.0'])
  })
})
