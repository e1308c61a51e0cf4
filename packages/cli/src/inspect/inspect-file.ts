import { createHash } from 'node:crypto'
import { type ByteStream, isOtaError, type Reason } from '@reflash/core'
import { type ImageReport, inspectImage } from '@reflash/target-esp32'
import { inspectSwu, type SwDescription, swupdateErrors } from '@reflash/target-swupdate'

/** What an update for SWUpdate is, and everything that is wrong with it. */
export interface SwuReport {
  readonly kind: 'swu'
  readonly sizeBytes: number
  /** Lower case hex. */
  readonly sha256: string
  readonly version?: string
  readonly hardware?: readonly string[]
  /** Whether it holds a signature; whether that is any good is for those to say who know the signers. */
  readonly isSigned?: boolean
  readonly images?: SwDescription['images']
  readonly problems: readonly Reason[]
}

export type FileReport = ImageReport | SwuReport

/** What a cpio archive begins with; one more byte says whether it has checksums, as SWUpdate wants it. */
export const archiveMagic = '07070'

export function isSwu(report: FileReport): report is SwuReport {
  return report.kind === 'swu'
}

/** Reads a file to its end and says what it is. @throws `ABORTED`, and what the source throws */
export async function inspectFile(source: ByteStream, context: { readonly signal: AbortSignal; readonly now: Date }): Promise<FileReport> {
  const chunks = source[Symbol.asyncIterator]()
  const head = await firstBytes(chunks)
  const whole = joined(head, chunks)
  return Buffer.from(head).toString('latin1').startsWith(archiveMagic)
    ? inspectArchive(whole, context)
    : inspectImage(whole, { signal: context.signal })
}

async function inspectArchive(
  source: ByteStream,
  { signal, now }: { readonly signal: AbortSignal; readonly now: Date },
): Promise<SwuReport> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      hash.update(chunk)
      sizeBytes += chunk.length
      yield chunk
    }
  }
  const bytes = hashed()
  // Without `return`: where the archive is given up, the rest is read here, so that size and hash are those of the file.
  const kept: ByteStream = { [Symbol.asyncIterator]: () => ({ next: () => bytes.next() }) }
  const found = await problemsOf(() => inspectSwu(kept, { signal, now }))
  for await (const _ of bytes) signal.throwIfAborted()
  const facts = { kind: 'swu', sizeBytes, sha256: hash.digest('hex') } as const
  if ('because' in found) return { ...facts, problems: found.because }
  const { version, hardware, isSigned, images } = found
  return { ...facts, version, hardware, isSigned, images, problems: [] }
}

async function problemsOf<T>(read: () => Promise<T>): Promise<T | { readonly because: readonly Reason[] }> {
  try {
    return await read()
  } catch (error) {
    // Where its bytes come from may fail, too.
    if (!isOtaError(error) || !Object.hasOwn(swupdateErrors, error.code)) throw error
    return { because: error.because }
  }
}

async function firstBytes(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0)
  while (head.length < archiveMagic.length) {
    const { done, value } = await chunks.next()
    if (done === true) break
    head = head.length === 0 ? value : new Uint8Array(Buffer.concat([head, value]))
  }
  return head
}

async function* joined(head: Uint8Array, rest: AsyncIterator<Uint8Array>): ByteStream {
  if (head.length > 0) yield head
  yield* { [Symbol.asyncIterator]: () => rest }
}
