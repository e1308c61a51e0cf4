import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ociRegistry } from '../../src/index.ts'
import { all, noise, pushSmall } from '../content.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const pusher = fileURLToPath(new URL('./child/pusher.ts', import.meta.url))

function run(...args: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, ['--conditions=@reflash/source', pusher, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((resolve) => child.on('exit', resolve))
}

/** The id of a process that has lived and is gone. */
async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
  await new Promise((resolve) => child.on('exit', resolve))
  return child.pid ?? 0
}

describe('the lock of a layout', () => {
  test('lets many processes make one layout and push at once without losing a tag', async () => {
    const repository = `oci:${join(temporaryFolder(), 'layout')}`
    const names = ['a', 'b', 'c']
    expect(await Promise.all(names.map((name) => run(repository, name, '6')))).toEqual([0, 0, 0])
    const expected = names.flatMap((name) => Array.from({ length: 6 }, (_, n) => `1.${n}.0-${name}`))
    expect((await all(ociRegistry().tags(repository))).sort()).toEqual(expected.sort())
  })

  test('lets one process tag many times at once without losing a tag', async () => {
    const registry = ociRegistry()
    const repository = `oci:${join(temporaryFolder(), 'layout')}`
    const { manifest } = await pushSmall(registry, repository, noise(10))
    const tags = Array.from({ length: 40 }, (_, n) => `1.${n}.0`)
    await Promise.all(tags.map((tag) => registry.tag(manifest, `${repository}:${tag}`)))
    expect((await all(registry.tags(repository))).sort()).toEqual([...tags].sort())
  })

  test('of a process that is gone is broken', async () => {
    const folder = join(temporaryFolder(), 'layout')
    const registry = ociRegistry()
    const { manifest } = await pushSmall(registry, `oci:${folder}`, noise(10))
    const lock = join(folder, '.index.json.lock')
    writeFileSync(lock, `${await deadProcess()} ${hostname()}`)
    await registry.tag(manifest, `oci:${folder}:1.0.0`)
    expect(existsSync(lock)).toBe(false)
  })

  test('of a living process, of another host, or that cannot be read is waited for, and named when time is up', async () => {
    const folder = join(temporaryFolder(), 'layout')
    let now = 0
    const clock = {
      now: () => now,
      sleep: async (milliseconds: number) => {
        now += milliseconds
      },
    }
    const registry = ociRegistry({ clock, limits: { lockTimeoutMs: 200 } })
    const { manifest } = await pushSmall(registry, `oci:${folder}`, noise(10))
    const lock = join(folder, '.index.json.lock')
    for (const owner of [`${process.pid} ${hostname()}`, `1 ${hostname()}`, `${await deadProcess()} elsewhere`, '', 'x'.repeat(1000)]) {
      writeFileSync(lock, owner)
      await expect(registry.tag(manifest, `oci:${folder}:1.0.0`)).rejects.toMatchObject({
        code: 'LAYOUT_BUSY',
        fault: 'unavailable',
        details: { lock },
      })
    }
    expect(existsSync(lock)).toBe(true)
  })

  test('is waited for no longer than the caller wants', async () => {
    const folder = join(temporaryFolder(), 'layout')
    const registry = ociRegistry()
    const { manifest } = await pushSmall(registry, `oci:${folder}`, noise(10))
    writeFileSync(join(folder, '.index.json.lock'), `${process.pid} ${hostname()}`)
    const signal = AbortSignal.timeout(50)
    await expect(registry.tag(manifest, `oci:${folder}:1.0.0`, { signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
