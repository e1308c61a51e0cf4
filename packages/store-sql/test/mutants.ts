import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isOtaError } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'
import { expect } from 'vitest'
import { temporaryFolder } from './temporary-folder.ts'

const pageBytes = 4096

/** A closed journal with so many entries of ascending size. */
export async function journalFile(entries = 50): Promise<string> {
  const file = join(temporaryFolder(), 'journal.db')
  const journal = sqlStore({ file })
  await Promise.all(
    Array.from({ length: entries }, (_, index) => journal.put(`k/${index}`, { text: 'x'.repeat(index * 7) }, { ifVersion: null })),
  )
  await journal.close?.()
  return file
}

/** Everything that a journal offers, on a file that may be anything. */
async function exercise(file: string): Promise<void> {
  const journal = sqlStore({ file, synchronous: 'normal' })
  try {
    for await (const key of journal.list('')) await journal.get(key)
    const entry = await journal.get('k/7')
    await journal.put('k/7', 1, { ifVersion: entry?.version ?? null })
    const other = await journal.get('k/9')
    if (other !== undefined) await journal.delete('k/9', { ifVersion: other.version })
  } finally {
    await journal.close?.()
  }
}

/** xorshift32: the same seed makes the same mutants. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function mutantOf(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const mutant = Uint8Array.from(bytes)
  // Two thirds of the changes go to headers, of pages and of the file, where they reach deep.
  for (let change = random(4) + 1; change > 0; change--) {
    const page = random(Math.floor(mutant.length / pageBytes)) * pageBytes
    const at = [random(mutant.length), page + random(120), random(120)][random(3)] as number
    mutant[at] = random(256)
  }
  return random(10) === 0 ? mutant.subarray(0, random(mutant.length)) : mutant
}

/** Uses a journal on so many mutants of a file; holds that nothing escapes but coded errors, and returns how often each code did. */
export async function exerciseMutants(bytes: Uint8Array, rounds: number, seed: number): Promise<ReadonlyMap<string, number>> {
  const file = join(temporaryFolder(), 'mutant.db')
  const random = seeded(seed)
  const codes = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    for (const end of ['', '-wal', '-shm']) writeFileSync(file + end, '')
    writeFileSync(file, mutantOf(bytes, random))
    try {
      await exercise(file)
    } catch (error) {
      expect(isOtaError(error), `seed ${seed}, round ${round}: ${error}`).toBe(true)
      const { code } = error as { code: string }
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
  }
  return codes
}
