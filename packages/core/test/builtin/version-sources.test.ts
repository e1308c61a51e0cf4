import { type Digest, type Journal, signedVersions, trustTagVersions, type VersionClaim, type VersionSource } from '@reflash/core'
import { memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`
const claim = (more: Partial<VersionClaim>): VersionClaim => ({
  repository: 'r.test/fw',
  root: digest('a'),
  manifest: digest('a'),
  covers: 'root',
  ...more,
})
const ask = (source: VersionSource, more: Partial<VersionClaim>, state: Pick<Journal, 'get' | 'put'> = memoryJournal()) =>
  source.version(claim(more), { signal: new AbortController().signal, now: new Date(0), state })

describe('signedVersions', () => {
  test('takes the signed version, which every tag that names a version must agree with', async () => {
    const source = signedVersions()
    expect(await ask(source, { signed: '1.1.0' })).toBe('1.1.0')
    expect(await ask(source, { signed: '1.1.0', tag: 'v1.1.0' })).toBe('1.1.0')
    expect(await ask(source, { signed: '1.1.0', tag: 'latest' })).toBe('1.1.0')
    expect(await ask(source, { signed: '1.1.0+5', tag: '1.1.0' })).toBe('1.1.0+5')
    expect(await ask(source, { signed: '1.1.0+5', tag: '1.1.0_5' })).toBe('1.1.0+5')
  })

  test.each([
    ['nothing is signed', {}, 'VERSION_NOT_SIGNED'],
    ['nothing is signed, whatever the tag says', { tag: '1.1.0' }, 'VERSION_NOT_SIGNED'],
    ['the tag names a newer one', { tag: '9.9.9', signed: '1.1.0' }, 'VERSION_MISMATCH'],
    ['the tag names another build of it', { tag: '1.1.0_6', signed: '1.1.0+5' }, 'VERSION_MISMATCH'],
    ['what is signed is no version', { signed: 'v1.1.0' }, 'VERSION_MISMATCH'],
  ])('refuses where %s', async (_, more, code) => {
    await expect(ask(signedVersions(), more)).rejects.toMatchObject({ code, fault: 'rejected' })
  })
})

describe('trustTagVersions', () => {
  test('binds a digest to the version it was first seen under, also without a tag later', async () => {
    const state = memoryJournal()
    const source = trustTagVersions()
    await expect(ask(source, {}, state)).rejects.toMatchObject({ code: 'VERSION_NOT_SIGNED' })
    await expect(ask(source, { tag: 'latest' }, state)).rejects.toMatchObject({ code: 'VERSION_NOT_SIGNED' })
    expect(await ask(source, { tag: '1.0.0' }, state)).toBe('1.0.0')
    expect(await ask(source, {}, state)).toBe('1.0.0')
    expect(await ask(source, { tag: 'v1.0.0' }, state)).toBe('1.0.0')
    await expect(ask(source, { tag: '9.9.9' }, state)).rejects.toMatchObject({ code: 'VERSION_MISMATCH', fault: 'rejected' })
    expect(await ask(source, { root: digest('b'), manifest: digest('b'), tag: '9.9.9' }, state)).toBe('9.9.9')
  })

  test('lets a signed version win', async () => {
    const state = memoryJournal()
    await ask(trustTagVersions(), { tag: '1.0.0' }, state)
    await expect(ask(trustTagVersions(), { tag: '1.0.0', signed: '2.0.0' }, state)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    expect(await ask(trustTagVersions(), { tag: '2.0.0', signed: '2.0.0' }, state)).toBe('2.0.0')
  })

  test('does not let a new index make an old signed manifest newer', async () => {
    const state = memoryJournal()
    const source = trustTagVersions()
    const manifest = digest('d')
    expect(await ask(source, { root: digest('1'), manifest, covers: 'manifest', tag: '1.0.0' }, state)).toBe('1.0.0')
    const around = { root: digest('2'), manifest, covers: 'manifest', tag: '9.9.9' } as const
    await expect(ask(source, around, state)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
  })

  test('remembers a manifest under its signed index, so that its own signature does not free it', async () => {
    const state = memoryJournal()
    const source = trustTagVersions()
    const manifest = digest('d')
    expect(await ask(source, { root: digest('1'), manifest, tag: '1.0.0' }, state)).toBe('1.0.0')
    const alone = { root: digest('2'), manifest, covers: 'manifest', tag: '9.9.9' } as const
    await expect(ask(source, alone, state)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    // Whoever signs an index may list an old manifest in it: that index is the release.
    expect(await ask(source, { root: digest('3'), manifest, tag: '1.1.0' }, state)).toBe('1.1.0')
  })

  test('lets one of many at once bind, and the others agree with it or be refused', async () => {
    const state = memoryJournal()
    const source = trustTagVersions()
    const tags = Array.from({ length: 20 }, (_, index) => `1.0.${index % 4}`)
    const answers = await Promise.allSettled(tags.map((tag) => ask(source, { tag }, state)))
    const bound = (await state.get(digest('a')))?.value
    for (const [index, answer] of answers.entries()) {
      if (tags[index] === bound) expect(answer).toEqual({ status: 'fulfilled', value: bound })
      else expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'VERSION_MISMATCH' } })
    }
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
  })

  test('believes no journal that holds something else', async () => {
    for (const junk of [5, null, 'newest', { version: '1.0.0' }]) {
      const state = memoryJournal()
      await state.put(digest('a'), junk, { ifVersion: null })
      for (const tag of ['1.0.0', 'latest'])
        await expect(ask(trustTagVersions(), { tag }, state)).rejects.toMatchObject({ code: 'FACTS_CORRUPT' })
    }
  })
})
