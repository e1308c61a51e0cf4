import { afterEach, expect, it, vi } from 'vitest'
import type { BlobDirectory, BlobFile } from '../../src/content/blob-directory.ts'
import { cacheEntries, entryLimit } from '../../src/content/cache-entries.ts'

function fileOf(index: number, size = 1): BlobFile {
  const digest = `sha256:${index.toString(16).padStart(64, '0')}` as const
  return { digest, path: `/${index}`, size, inode: index, changedMs: 0, statusMs: 0, touches: 0, usedMs: index }
}

function directoryOf(found: readonly BlobFile[]) {
  const directory = {
    found,
    write: () => Promise.reject(new Error('not asked for')),
    discard: vi.fn(async (_: BlobFile) => {}),
    markUsed: vi.fn(async (_file: BlobFile, _usedMs: number) => {}),
    close: () => {},
  } satisfies BlobDirectory
  return directory
}

afterEach(() => {
  vi.restoreAllMocks()
})

it('evicts the least recently used where there are too many files, however small', async () => {
  const directory = directoryOf(Array.from({ length: entryLimit + 2 }, (_, index) => fileOf(index, 0)))
  const gone: string[] = []
  const entries = cacheEntries(directory, 1000, (digest) => gone.push(digest))
  const { release } = await entries.reserve(0)
  release()
  expect(gone).toEqual([0, 1, 2].map((index) => fileOf(index).digest))
})

it('counts what is reserved until it is released, and evicts nothing where it cannot make enough room', async () => {
  const directory = directoryOf([fileOf(1, 400)])
  const entries = cacheEntries(directory, 1000, () => {})
  const first = await entries.reserve(600)
  await expect(entries.reserve(401)).rejects.toMatchObject({ code: 'CACHE_FULL' })
  expect(directory.discard).not.toHaveBeenCalled()
  first.release()
  await entries.reserve(600)
  expect(directory.discard).not.toHaveBeenCalled()
})

it('takes a reservation back when the disk does not let go of what is evicted', async () => {
  const directory = directoryOf([fileOf(1, 1000)])
  directory.discard.mockRejectedValueOnce(new Error('busy'))
  const entries = cacheEntries(directory, 1000, () => {})
  await expect(entries.reserve(1000)).rejects.toThrow('busy')
  await entries.reserve(1000)
})

it('leaves a newer entry of the same digest alone when an old one is discarded', async () => {
  const directory = directoryOf([fileOf(1)])
  const entries = cacheEntries(directory, 1000, () => {})
  const old = entries.get(fileOf(1).digest)
  const young = entries.add(fileOf(1), 7)
  if (old !== undefined) await entries.discard(old)
  expect(entries.get(fileOf(1).digest)).toBe(young)
  expect(directory.discard).not.toHaveBeenCalled()
})

it('tells the disk of a use at most once a minute for each entry, and of all that is missing when it saves', async () => {
  const directory = directoryOf([fileOf(1), fileOf(2)])
  const now = vi.spyOn(Date, 'now').mockReturnValue(1_000_000)
  const entries = cacheEntries(directory, 1000, () => {})
  const [one, two] = [1, 2].map((index) => entries.get(fileOf(index).digest)) as [
    NonNullable<ReturnType<typeof entries.get>>,
    NonNullable<ReturnType<typeof entries.get>>,
  ]
  entries.use(one)
  entries.use(one)
  expect(directory.markUsed.mock.calls).toEqual([[one.file, 1_000_000]])
  now.mockReturnValue(1_060_001)
  entries.use(one)
  expect(directory.markUsed).toHaveBeenCalledTimes(2)
  two.savedMs = two.usedMs = 1_060_000
  entries.use(two)
  expect(directory.markUsed).toHaveBeenCalledTimes(2)
  await entries.save()
  expect(directory.markUsed).toHaveBeenCalledTimes(3)
  expect(directory.markUsed.mock.lastCall?.[0]).toBe(two.file)
})

it('keeps the times of use ascending without running ahead of a clock that stands still', () => {
  vi.spyOn(Date, 'now').mockReturnValue(500)
  const entries = cacheEntries(directoryOf([fileOf(1), { ...fileOf(2), usedMs: 1000 }]), 1000, () => {})
  const times = [1, 2, 1].map((index) => {
    const entry = entries.get(fileOf(index).digest)
    if (entry !== undefined) entries.use(entry)
    return entry?.usedMs ?? 0
  })
  expect(times.toSorted((a, b) => a - b)).toEqual(times)
  expect(times[0]).toBeGreaterThan(1000)
  expect(times[2]).toBeLessThan(1001)
})
