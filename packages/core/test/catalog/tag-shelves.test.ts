import { compose, OtaError, type Registry } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { repository, world } from '../composition.ts'

const { signal } = new AbortController()
const forever = (): Promise<never> => new Promise(() => {})
const silentTags = (): AsyncIterable<string> => ({ [Symbol.asyncIterator]: () => ({ next: forever }) })

function scene(change: (registry: Registry) => Partial<Registry> = () => ({}), options: Parameters<typeof world>[0] = {}) {
  const { release: publish, ...from } = world(options)
  const registry: Registry = { ...from.registry, ...change(from.registry) }
  const { catalog } = compose({ ...from.composition, registry })
  return {
    ...from,
    publish,
    catalog,
    tags: async (name = repository) => (await catalog.versions(name, signal)).tags.map(({ tag }) => tag),
    listings: (): number => from.registry.calls.filter((call) => call.startsWith('tags')).length,
  }
}

const failing = (fault: OtaError['fault'], code = 'REGISTRY_UNAVAILABLE') => ({
  async *tags(): AsyncGenerator<string> {
    yield* []
    throw new OtaError(code, fault, 'expected an answer, found none')
  },
})

describe('the tags of a repository', () => {
  test('are listed once for all who ask at once, and at most every few seconds', async () => {
    const from = scene()
    from.publish('1.1.0')
    await Promise.all(Array.from({ length: 50 }, () => from.tags()))
    for (let second = 0; second < 9; second++) {
      from.clock.advance(1_000)
      await from.tags()
      await new Promise(setImmediate)
    }
    expect(from.listings()).toBeLessThanOrEqual(3)
  })

  test('are served while the registry is down, which is asked no more often than while it is up', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.tags()
    from.registry.setOnline(false)
    for (let second = 0; second < 600; second++) {
      from.clock.advance(1_000)
      expect(await from.tags()).toEqual(['1.1.0'])
      await new Promise(setImmediate)
    }
    expect(from.listings()).toBeLessThanOrEqual(600 / 4 + 1)
  })

  test('are waited for by the first who come while a registry keeps silent, and by nobody after', async () => {
    let silent = false
    const from = scene(
      (registry) => ({
        async *tags(...args: Parameters<NonNullable<Registry['tags']>>) {
          if (silent) await forever()
          yield* registry.tags?.(...args) ?? []
        },
      }),
      { times: { waitMs: 50 } },
    )
    from.publish('1.1.0')
    await from.tags()
    silent = true
    from.clock.advance(60_000)
    const start = performance.now()
    expect(await from.tags()).toEqual(['1.1.0'])
    expect(performance.now() - start).toBeGreaterThan(40)
    const next = performance.now()
    for (let poll = 0; poll < 100; poll++) expect(await from.tags()).toEqual(['1.1.0'])
    expect(performance.now() - next).toBeLessThan(40)
  })

  test('of a registry that keeps silent from the start are REGISTRY_SILENT', async () => {
    const from = scene(() => ({ tags: silentTags }), { times: { answerMs: 10 } })
    await expect(from.tags()).rejects.toMatchObject({ code: 'REGISTRY_SILENT', fault: 'unavailable' })
    const later = scene(() => ({ tags: silentTags }), { times: { prepareMs: 10 } })
    await expect(later.tags()).rejects.toMatchObject({ code: 'REGISTRY_SILENT', fault: 'unavailable' })
  })

  test.each(['unavailable', 'rejected', 'internal'] as const)('are served on where the registry fails with %s', async (fault) => {
    let fails = false
    const from = scene((registry) => ({
      tags: (...args) => (fails ? failing(fault).tags() : (registry.tags?.(...args) as AsyncIterable<string>)),
    }))
    from.publish('1.1.0')
    await from.tags()
    fails = true
    from.clock.advance(60_000)
    for (let poll = 0; poll < 5; poll++) expect(await from.tags()).toEqual(['1.1.0'])
  })

  test('are gone with their repository, for everybody at once and not for the first who asks', async () => {
    let gone = false
    const from = scene((registry) => ({
      tags: (...args) => (gone ? failing('invalid', 'NOT_FOUND').tags() : (registry.tags?.(...args) as AsyncIterable<string>)),
    }))
    from.publish('1.1.0')
    await from.tags()
    gone = true
    from.clock.advance(60_000)
    for (let poll = 0; poll < 5; poll++) await expect(from.tags()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    gone = false
    from.clock.advance(60_000)
    expect(await from.tags()).toEqual(['1.1.0'])
  })

  test('of a registry plugin that breaks are told as that, and it is not called at every poll', async () => {
    let called = 0
    const from = scene(() => ({
      async *tags() {
        called += 1
        yield* undefined as unknown as string[]
      },
    }))
    for (let poll = 0; poll < 10; poll++) await expect(from.tags()).rejects.toMatchObject({ code: 'BROKEN_PLUGIN', fault: 'internal' })
    expect(called).toBe(1)
  })

  test('without end do not fill the memory: what was known is served', async () => {
    let endless = false
    let given = 0
    const from = scene((registry) => ({
      async *tags(...args: Parameters<NonNullable<Registry['tags']>>) {
        if (!endless) yield* registry.tags?.(...args) ?? []
        for (; endless; given++) yield `junk-${given}`
      },
    }))
    from.publish('1.1.0')
    await from.tags()
    endless = true
    from.clock.advance(60_000)
    expect(await from.tags()).toEqual(['1.1.0'])
    expect(given).toBeLessThan(100_010)
  })

  test('do not age backwards: a clock that is set back or far forward asks again', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.tags()
    for (const jump of [-365 * 86_400_000, 3 * 365 * 86_400_000, -1]) {
      const version = `2.0.${from.listings()}`
      from.publish(version)
      from.clock.advance(jump)
      expect(await from.tags()).toContain(version)
    }
  })

  test('are asked for again at once where the clock was set back during an outage', async () => {
    const from = scene()
    from.registry.setOnline(false)
    for (let poll = 0; poll < 5; poll++) await expect(from.tags()).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
    expect(from.listings()).toBe(1)
    from.registry.setOnline(true)
    from.publish('1.1.0')
    from.clock.advance(-86_400_000)
    expect(await from.tags()).toEqual(['1.1.0'])
  })

  test('stay known though strangers make up thousands of repositories', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.tags()
    for (let made = 0; made < 10_500; made++) await from.tags(`registry.test/made-up/${made}`).catch(() => undefined)
    from.registry.setOnline(false)
    from.clock.advance(60_000)
    expect(await from.tags()).toEqual(['1.1.0'])
  })

  test('of hundreds of repositories are not all asked for at once', async () => {
    const from = scene(() => ({ tags: silentTags }), { times: { answerMs: 50 } })
    const asked = Array.from({ length: 300 }, (_, index) =>
      from.tags(`registry.test/fw/${index}`).catch(({ message }: OtaError) => message),
    )
    const answers = await Promise.all(asked)
    expect(answers.filter((message) => String(message).includes('at once'))).toHaveLength(44)
  })

  test('need a registry that can list them', async () => {
    const { tags: _, ...registry } = world().registry
    const { catalog } = compose({ ...world().composition, registry: registry as Registry })
    await expect(catalog.versions(repository, signal)).rejects.toMatchObject({ code: 'TAGS_UNSUPPORTED', fault: 'unsupported' })
  })
})
