import { strictEqual } from 'node:assert/strict'
import { expectBytes, gather, listed } from '../content.ts'
import { closeRules } from '../plugin-rules.ts'
import { refused, refusesFired, survives } from '../refusal.ts'
import type { RegistryInstance, RegistryRule } from '../registry-suite.ts'
import { plainSource, stalledSource } from '../sources.ts'
import { until, within } from '../within.ts'
import { fetched, notFound, rule, sample, storeSample } from './registry-rule.ts'

/** More than any buffer between a server and a reader. */
const largeBytes = 16 * 1024 * 1024

/** Callers who leave, and the end. */
export const registryAbortRules: readonly RegistryRule[] = [
  rule('abort-before', 'does nothing for a caller who has left', async (instance) => {
    const { plugin, repositories } = instance
    const [repository] = repositories
    const [one, two] = [sample(1), sample(2)]
    await storeSample(instance, one, '1.0.0')
    const { descriptor } = one.manifest
    await refusesFired('resolve', (signal) => plugin.resolve(`${repository}:1.0.0`, { signal }))
    await refusesFired('fetch', async (signal) => gather('fetch', await plugin.fetch(repository, descriptor, { signal })))
    const { tags, referrers, push, tag } = plugin
    if (tags !== undefined) await refusesFired('tags', (signal) => listed(tags(repository, { signal })))
    if (referrers !== undefined) await refusesFired('referrers', (signal) => listed(referrers(repository, descriptor, { signal })))
    if (push !== undefined) {
      const source = plainSource(two.layer.bytes)
      await refusesFired('push', (signal) => push(repository, two.layer.descriptor, source.open, { signal }))
      strictEqual(source.opened, 0, 'push: expected the source not to be opened')
      await refused('fetch of what was not pushed', notFound, () => fetched(plugin, repository, two.layer.descriptor))
    }
    if (tag === undefined) return
    await refusesFired('tag', (signal) => tag(descriptor, `${repository}:2.0.0`, { signal }))
    await refused('a tag that was not set', notFound, () => plugin.resolve(`${repository}:2.0.0`))
  }),
  rule('abort-fetch', 'ends a stream in its middle when its reader leaves', async (instance, { stepMs }) => {
    const { plugin, repositories } = instance
    const one = sample(1, { size: largeBytes })
    await storeSample(instance, one, '1.0.0')
    const controller = new AbortController()
    const stream = await plugin.fetch(repositories[0], one.layer.descriptor, { signal: controller.signal })
    const iterator = stream[Symbol.asyncIterator]()
    strictEqual((await iterator.next()).done ?? false, false, 'expected a first chunk')
    controller.abort()
    const rest = refused('a stream whose reader has left', { fault: 'aborted' }, async () => {
      while (!(await iterator.next()).done);
    })
    await within(stepMs, 'the rest of the stream', rest)
    expectBytes('a whole stream after that', await fetched(plugin, repositories[0], one.layer.descriptor), one.layer.bytes)
  }),
  rule(
    'abort-list',
    'ends a list in its middle when its reader leaves',
    async (instance) => {
      const { plugin, repositories } = instance
      const one = sample(1)
      await storeSample(instance, one, '1.0.0')
      for (const seed of [2, 3, 4]) await storeSample(instance, sample(seed, { subject: one.manifest.descriptor }), `${seed}.0.0`)
      const { tags, referrers } = plugin
      const lists: Readonly<Record<string, ((signal: AbortSignal) => AsyncIterable<unknown>) | undefined>> = {
        tags: tags && ((signal) => tags(repositories[0], { signal })),
        referrers: referrers && ((signal) => referrers(repositories[0], one.manifest.descriptor, { signal })),
      }
      for (const [name, list] of Object.entries(lists)) {
        if (list === undefined) continue
        const controller = new AbortController()
        let count = 0
        await refused(name, { fault: 'aborted' }, async () => {
          for await (const _ of list(controller.signal)) {
            count += 1
            controller.abort()
          }
        })
        strictEqual(count, 1, `${name}: expected nothing more for a reader who has left`)
      }
    },
    { what: 'tags() or referrers()', has: ({ plugin }) => plugin.tags !== undefined || plugin.referrers !== undefined },
  ),
  rule('abort-calls', 'ends every call that runs when its caller leaves', async (instance, { stepMs }) => {
    const { plugin, repositories } = instance
    await storeSample(instance, sample(1), '1.0.0')
    const controller = new AbortController()
    const { signal } = controller
    const calls = Array.from({ length: 4 }, () =>
      survives('resolve', { fault: 'aborted' }, () => plugin.resolve(`${repositories[0]}:1.0.0`, { signal })),
    )
    controller.abort()
    await within(stepMs, 'resolve whose caller has left', Promise.all(calls))
    await plugin.resolve(`${repositories[0]}:1.0.0`)
  }),
  rule(
    'abort-push',
    'leaves a source that hangs when its caller leaves, and keeps nothing of it',
    async (instance, { stepMs }) => {
      const { plugin, repositories } = instance
      const { layer } = sample(1)
      const stalled = stalledSource(layer.bytes.subarray(0, 500))
      const controller = new AbortController()
      const { signal } = controller
      const call = plugin.push?.(repositories[0], layer.descriptor, stalled.open, { signal }) as Promise<void>
      call.catch(() => undefined)
      await until(stepMs, 'the source was opened', () => stalled.opened > 0)
      controller.abort()
      await within(
        stepMs,
        'push whose caller has left',
        refused('push', { fault: 'aborted' }, () => call),
      )
      await refused('fetch of what was not pushed', notFound, () => fetched(plugin, repositories[0], layer.descriptor))
      await plugin.push?.(repositories[0], layer.descriptor, plainSource(layer.bytes).open)
      expectBytes('what was pushed after all', await fetched(plugin, repositories[0], layer.descriptor), layer.bytes)
    },
    { what: 'push()', has: ({ plugin }: RegistryInstance) => plugin.push !== undefined },
  ),
  rule('abort-after', 'does not undo what was done before its caller left', async (instance) => {
    const { plugin, repositories } = instance
    const controller = new AbortController()
    const { signal } = controller
    const one = sample(1)
    await storeSample(instance, one, '1.0.0')
    const { digest } = await plugin.resolve(`${repositories[0]}:1.0.0`, { signal })
    const bytes = await gather('fetch', await plugin.fetch(repositories[0], one.layer.descriptor, { signal }))
    controller.abort()
    strictEqual(digest, one.manifest.descriptor.digest)
    expectBytes('what was fetched before', bytes, one.layer.bytes)
    expectBytes('what is fetched after', await fetched(plugin, repositories[0], one.layer.descriptor), one.layer.bytes)
  }),
  ...closeRules<RegistryInstance, unknown>('registry'),
  rule(
    'closed',
    'refuses every call after it was closed',
    async (instance, { stepMs }) => {
      const { plugin, repositories } = instance
      const one = sample(1)
      await storeSample(instance, one, '1.0.0')
      await within(stepMs, 'close()', plugin.close?.())
      const anyFault = { fault: ['invalid', 'unavailable', 'aborted', 'unsupported'] } as const
      const { descriptor } = one.manifest
      const calls = {
        resolve: () => plugin.resolve(`${repositories[0]}:1.0.0`),
        fetch: () => fetched(plugin, repositories[0], descriptor),
        tags: () => plugin.tags && listed(plugin.tags(repositories[0])),
        referrers: () => plugin.referrers && listed(plugin.referrers(repositories[0], descriptor)),
        push: () => plugin.push?.(repositories[0], one.layer.descriptor, plainSource(one.layer.bytes).open),
        tag: () => plugin.tag?.(descriptor, `${repositories[0]}:2.0.0`),
      }
      for (const [name, call] of Object.entries(calls)) {
        const isThere = (plugin as unknown as Readonly<Record<string, unknown>>)[name] !== undefined
        if (isThere) await within(stepMs, name, refused(`${name} after close()`, anyFault, call))
      }
    },
    { what: 'close()', has: ({ plugin }: RegistryInstance) => plugin.close !== undefined },
  ),
]
