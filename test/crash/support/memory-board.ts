import { collect, digestOf, isOtaError, type Report } from '@reflash/core'
import { memoryDevice } from '@reflash/core/testing'
import { type NativeClient, type NativeClientOptions, type NativeComponent, nativeClient } from '@reflash/transport-http/client'
import { impatient, type PullingDevice } from './esp32-device.ts'
import { honestEvidence } from './honest-evidence.ts'
import type { DeviceLine } from './server-process.ts'
import { notedReports, type Witness } from './witness.ts'

/** The image of a version, as it is pushed: see `memoryTarget`. */
export const boardImage = (version: string): Uint8Array => new TextEncoder().encode(`board board\n${version}\n${'filler '.repeat(6)}`)

const imageLimitBytes = 1 << 16
/** Check-ins of one visit: asked for evidence, offered, asked to prove, confirmed. */
const checkInsPerVisit = 6

interface Running {
  readonly bytes: Uint8Array
  readonly version: string
}

/**
 * A board in memory that pulls, proves what it runs whenever it is asked, and forgets nothing: what it was not heard with, it says again. An
 * image that does not pass `selfTest` is given up at its first start.
 */
export function pullingBoard(
  id: string,
  selfTest: (version: string) => boolean = () => true,
  fetch?: NativeClientOptions['fetch'],
): PullingDevice {
  let running: Running = { bytes: boardImage('1.0.0'), version: '1.0.0' }
  const { accepted, note } = notedReports()
  let challenge: Uint8Array | undefined
  let owed: { readonly seq: number; readonly report: Report } | undefined
  let client: NativeClient | undefined
  let currentUrl: string | undefined

  async function tell(to: NativeClient, seq: number, report: Report): Promise<void> {
    try {
      await to.report(seq, report)
      note(seq, report)
    } catch (error) {
      // The offer has ended: what comes next is told by the next check-in.
      if (!isOtaError(error) || error.fault !== 'invalid') throw error
    }
  }

  async function take(from: NativeClient, seq: number, version: string, component: NativeComponent): Promise<void> {
    await tell(from, seq, { state: 'downloading', received: 0 })
    const bytes = await collect(from.download(component), imageLimitBytes, 'image')
    if (digestOf(bytes) !== component.digest) throw new Error(`${id}: expected ${component.digest}, was sent ${digestOf(bytes)}`)
    await tell(from, seq, { state: 'downloaded' })
    const before = running
    running = { bytes, version }
    await tell(from, seq, { state: 'installed' })
    if (selfTest(version)) return
    running = before
    owed = { seq, report: { state: 'rolled-back', code: 'SELF_TEST_FAILED' } }
    await pay(from)
  }

  async function pay(to: NativeClient): Promise<void> {
    if (owed === undefined) return
    await tell(to, owed.seq, owed.report)
    owed = undefined
  }

  async function visit(to: NativeClient): Promise<void> {
    await pay(to)
    for (let count = 1; count <= checkInsPerVisit; count++) {
      const installed = { version: running.version, digest: digestOf(running.bytes), state: 'confirmed' as const }
      const evidence = challenge && honestEvidence(id, challenge, running.bytes)
      const answer = await to.checkIn({ model: 'board', installed, ...(evidence === undefined ? {} : { evidence }) })
      challenge = answer.challenge
      const [component] = answer.offer?.components ?? []
      if (answer.offer !== undefined && component !== undefined) await take(to, answer.offer.seq, answer.offer.version, component)
      else if (challenge === undefined) return
    }
  }

  return {
    deviceId: id,
    accepted,
    truth: () => ({ digest: digestOf(running.bytes), isKept: true }),
    async visit(url) {
      if (client === undefined || url !== currentUrl) {
        client?.close()
        client = nativeClient({ server: url, deviceId: id, limits: impatient, ...(fetch === undefined ? {} : { fetch }) })
        currentUrl = url
      }
      await visit(client)
    },
    close: () => client?.close(),
  }
}

/** A board in memory at the other end of a line. */
export function wiredBoard(
  id: string,
  selfTest: 'passes' | 'fails' = 'passes',
): Witness & { readonly model: string; readonly line: DeviceLine } {
  const device = memoryDevice({ id, runs: boardImage('1.0.0'), selfTest })
  const port = device.port()
  const context = { signal: new AbortController().signal, now: new Date() }
  return {
    deviceId: id,
    model: 'board',
    accepted: [],
    truth: () =>
      device.running === undefined
        ? undefined
        : { digest: digestOf(device.running), isKept: device.state().installed?.state === 'confirmed' },
    line(method, args) {
      if (method === 'evidence') return honestEvidence(id, args[0] as Uint8Array, device.running ?? new Uint8Array())
      const call = port[method as 'begin'] as unknown as (...all: unknown[]) => unknown
      return call(...args, context)
    },
  }
}
