// What `checked` costs over a bare SHA-256 of the same chunks. The goal is at most 1.4 times its time.
// node --conditions=@reflash/source packages/core/bench/checked.ts [--json]
import { createHash } from 'node:crypto'
import { checked } from '../src/content/checked.ts'
import { digestOf } from '../src/index.ts'

const rounds = 25

interface Case {
  readonly wholeMiB: number
  readonly chunkKiB: number
}

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function bare(chunks: readonly Uint8Array[]): void {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  hash.digest('hex')
}

/** CPU milliseconds of this process: on a shared machine steadier than the time on the wall. */
async function cpuMs(work: () => Promise<void> | void): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

async function measure({ wholeMiB, chunkKiB }: Case) {
  const bytes = Uint8Array.from({ length: wholeMiB * 1024 * 1024 }, (_, index) => (index * 31) % 251)
  const chunks: Uint8Array[] = []
  for (let offset = 0; offset < bytes.length; offset += chunkKiB * 1024) chunks.push(bytes.subarray(offset, offset + chunkKiB * 1024))
  const claim = { digest: digestOf(bytes), size: bytes.length }
  const pass = async (): Promise<void> => {
    for await (const _ of checked(chunksOf(chunks), claim, { signal: new AbortController().signal }));
  }
  const pairs: { sha256: number; checked: number }[] = []
  // Taken in turns, so that a busy neighbour slows both; the first rounds warm up.
  for (let round = -3; round < rounds; round++) {
    const pair = { sha256: await cpuMs(() => bare(chunks)), checked: await cpuMs(pass) }
    if (round >= 0) pairs.push(pair)
  }
  const sha256Ms = median(pairs.map((pair) => pair.sha256))
  const checkedMs = median(pairs.map((pair) => pair.checked))
  return { wholeMiB, chunkKiB, sha256Ms, checkedMs, ratio: median(pairs.map((pair) => pair.checked / pair.sha256)) }
}

const results = []
for (const each of [
  { wholeMiB: 4, chunkKiB: 64 },
  { wholeMiB: 16, chunkKiB: 64 },
  { wholeMiB: 16, chunkKiB: 16 },
]) {
  results.push(await measure(each))
}

if (process.argv.includes('--json')) console.log(JSON.stringify(results))
else {
  for (const { wholeMiB, chunkKiB, sha256Ms, checkedMs, ratio } of results) {
    const times = `SHA-256 ${sha256Ms.toFixed(1)} ms, checked ${checkedMs.toFixed(1)} ms`
    console.log(`${wholeMiB} MiB in ${chunkKiB} KiB chunks: ${times}, ratio ${ratio.toFixed(2)} (goal: at most 1.40), CPU time`)
  }
}
