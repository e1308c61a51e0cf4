import { type ByteStream, isOtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../http-errors.ts'
import type { ClientLimits } from './client-limits.ts'
import type { Answer, HttpCaller } from './http-caller.ts'
import type { NativeComponent } from './native-answer.ts'
import { refused, unreachable } from './refused.ts'

export interface DownloadOptions {
  /** Bytes that the device already has of exactly this image. */
  readonly offset?: number
  readonly signal?: AbortSignal
  readonly progress?: (done: number, total: number) => void
}

export interface Downloader {
  readonly caller: HttpCaller
  readonly limits: ClientLimits
  readonly headers: Readonly<Record<string, string>>
  /** The absolute URL of an image. @throws `INVALID_ANSWER` */
  readonly urlOf: (component: NativeComponent) => URL
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  readonly random: () => number
}

/**
 * The bytes of one image from `offset` on, resumed by Range and If-Range where the connection breaks. Checks that they are bytes of one
 * and the same image by its tag and size; whether it is the right one is the device's to check.
 * @throws `DOWNLOAD_BROKEN`, `IMAGE_CHANGED`, `SERVER_REFUSED`, `REQUEST_REFUSED`, `INVALID_ANSWER`, `ABORTED`
 */
export async function* download(downloader: Downloader, component: NativeComponent, options: DownloadOptions = {}): ByteStream {
  const { limits, sleep, random } = downloader
  const { offset = 0, signal, progress } = options
  const { size } = component
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw fail('INVALID_OPTION', `offset: expected a number from 0 to ${size}, found ${offset}`)
  }
  let at = offset
  let failures = 0
  while (at < size) {
    const chunks = openAt(downloader, component, at, signal)
    let failure: unknown
    try {
      for (;;) {
        // A fetch of one's own need not tie its bodies to the signal.
        throwIfAborted(signal)
        const step = await nextOf(chunks, signal)
        if (step.failure !== undefined) failure = step.failure
        if (step.chunk === undefined) break
        failures = 0
        at += step.chunk.length
        progress?.(at, size)
        yield step.chunk
      }
    } finally {
      await chunks.return(undefined)
    }
    if (failure === undefined) continue
    if (!isOtaError(failure) || failure.fault !== 'unavailable' || failure.code === 'IMAGE_CHANGED') throw failure
    failures++
    if (failures >= limits.downloadAttempts) {
      throw fail('DOWNLOAD_BROKEN', `expected ${size} bytes, found the download broken ${failures} times in a row at ${at}`, {
        cause: failure,
        details: { received: at, size },
      })
    }
    await pause(sleep, delay(failure.details.retryAfterMs, failures, limits, random), signal)
  }
}

/** What the network throws is a failure to try again after; what the reader of the bytes throws is not, and never comes here. */
async function nextOf(
  chunks: AsyncIterator<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ readonly chunk?: Uint8Array; readonly failure?: Error }> {
  try {
    const step = await chunks.next()
    return step.done ? {} : { chunk: step.value }
  } catch (error) {
    return { failure: unreachable(error, 'the server', signal) }
  }
}

async function pause(sleep: Downloader['sleep'], milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, signal)
  } catch (error) {
    throwIfAborted(signal)
    throw error
  }
}

/** Exponential with full jitter, so that a fleet that lost its server does not come back in one wave. */
function delay(retryAfterMs: unknown, failures: number, { backoffMs, longestBackoffMs }: ClientLimits, random: () => number): number {
  const longest = Math.min(longestBackoffMs, backoffMs * 2 ** (failures - 1))
  const asked = typeof retryAfterMs === 'number' ? Math.min(retryAfterMs, longestBackoffMs) : 0
  return asked + Math.round(longest * (0.5 + random() / 2))
}

/** Ends after the image's last byte or throws. */
async function* openAt(
  { caller, headers, urlOf }: Downloader,
  component: NativeComponent,
  at: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { size, digest } = component
  const etag = `"${digest}"`
  const ranged = at === 0 ? {} : { Range: `bytes=${at}-`, 'If-Range': etag }
  const answer = await caller.send({ method: 'GET', url: urlOf(component), headers: { ...headers, ...ranged }, signal })
  if (answer.status !== 200 && answer.status !== 206) throw await refused(answer)
  const start = await expectSame(answer, component, at)
  let position = start
  for await (const chunk of answer.body) {
    if (position + chunk.length > size) throw fail('INVALID_ANSWER', `expected ${size} bytes, found more`)
    const skip = Math.min(chunk.length, Math.max(0, at - position))
    position += chunk.length
    if (skip < chunk.length) yield skip === 0 ? chunk : chunk.subarray(skip)
  }
  if (position < size) throw fail('SERVER_UNREACHABLE', `expected ${size} bytes, found the end after ${position}`)
}

/** Where the answer begins: at the wanted byte, or at 0 where the server does not know ranges. */
async function expectSame(answer: Answer, { digest, size }: NativeComponent, at: number): Promise<number> {
  const etag = answer.header('etag')
  const range = answer.header('content-range')
  const length = answer.header('content-length')
  const partial = answer.status === 206
  const same =
    (etag === undefined || etag === `"${digest}"`) &&
    (partial ? at > 0 && range === `bytes ${at}-${size - 1}/${size}` : length === undefined || Number(length) === size)
  if (same) return partial ? at : 0
  await answer.body[Symbol.asyncIterator]().return?.()
  throw fail('IMAGE_CHANGED', `expected bytes from ${at} of ${digest}, found those of another image or place`)
}
