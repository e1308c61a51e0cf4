import { describe, expect, test } from 'vitest'
import { defaultOciLimits, type OciRegistryOptions, ociRegistry } from '../src/index.ts'
import { hostileRegistry, testRegistry } from './hostile-registry.ts'

describe('ociRegistry', () => {
  test('is a frozen plain object that can do everything the contract knows', () => {
    const registry = ociRegistry()
    expect(Object.isFrozen(registry)).toBe(true)
    expect(Object.getPrototypeOf(registry)).toBe(Object.prototype)
    expect(registry).toMatchObject({ kind: 'registry', name: 'oci', spec: 0 })
    for (const member of ['resolve', 'fetch', 'tags', 'referrers', 'push', 'tag', 'close'] as const)
      expect(registry[member]).toBeTypeOf('function')
  })

  test('still works after object spread, as wrappers make it', async () => {
    const { resolve, ...rest } = { ...ociRegistry() }
    await expect(resolve('oci:/nowhere/at/all:1.0.0')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await rest.close()
  })

  test('refuses options that it cannot mean, at once and without showing them', () => {
    const wrong: Record<string, unknown>[] = [
      { credentials: { username: 'a', password: 'hunter2' } },
      { plainHttp: 'reg.local' },
      { plainHttp: ['http://reg.local'] },
      { plainHttp: ['user@reg.local'] },
      { ca: 'hunter2' },
      { ca: [Buffer.from('x')] },
      { clientCert: { cert: 'hunter2', key: 'hunter2' } },
      { limits: { attempts: 0 } },
      { limits: { redirects: -1 } },
      { limits: { tags: Number.POSITIVE_INFINITY } },
      { limits: { tagz: 1 } },
      { random: 4 },
      { clock: {} },
    ]
    for (const options of wrong) {
      try {
        ociRegistry(options as OciRegistryOptions)
        expect.unreachable(JSON.stringify(options))
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(Object.keys(options)[0] as string) })
        expect(JSON.stringify(error)).not.toContain('hunter2')
      }
    }
  })

  test('keeps its own copy of the options', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(503).end())
    const limits = { attempts: 2 }
    const { registry } = testRegistry({ limits })
    limits.attempts = 9
    await expect(registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
    expect(peer.seen.length).toBe(2)
  })

  test('has finite limits', () => {
    for (const [name, value] of Object.entries(defaultOciLimits)) expect(Number.isSafeInteger(value) && value > 0, name).toBe(true)
  })

  test('refuses references before anything is asked', async () => {
    const registry = ociRegistry()
    for (const reference of ['', 'a', 'host/UPPER:1', 'host/a:b:c', 'host/a@sha256:xyz', 'http://host/a:1']) {
      await expect(registry.resolve(reference), reference).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    }
  })
})
