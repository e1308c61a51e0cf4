import {
  type AgentPort,
  type ByteStream,
  type Digest,
  type Fault,
  type Installed,
  isOtaError,
  type OtaError,
  type Reason,
  type Report,
} from '@reflash/core'
import { fail } from '../cli-errors.ts'
import type { DeviceMemory, Remembered, RememberedUpdate } from './device-memory.ts'
import { type Download, downloadImage } from './download-image.ts'
import type { OfferedImage, ReceivedAnswer, ReceivedOffer, SelfDescription, UpdateServer } from './update-server.ts'

/** The hardware as the agent's own code sees it: what runs, the slot beside it, and the way through the bootloader. */
export interface DeviceHardware {
  readonly id: string
  /** Writes the slot that does not run, and selects it. */
  readonly port: AgentPort
  /** What the device says of itself; `installed.version` is what the image calls itself. */
  describe(): SelfDescription
  /** Reads back the first `sizeBytes` of the slot that does not run. */
  readBack(sizeBytes: number): { readonly digest: Digest; readonly crc32: number }
  restart(): void
  /** The running image keeps itself. */
  keep(): void
  /** The running image gives up, and the one before it is started. @throws where there is none */
  giveUp(): void
}

export interface AgentOptions {
  readonly hardware: DeviceHardware
  readonly memory: DeviceMemory
  readonly server: UpdateServer
  /** Whether a new image works; asked once, at its first start. */
  readonly selfTest: () => boolean | Promise<boolean>
  readonly onEvent?: (event: AgentEvent) => void
  readonly now: () => Date
}

/** What the agent did, in order. `received` grows within `downloading`. */
export type AgentEvent =
  | {
      readonly type: 'offered'
      readonly seq: number
      readonly version: string
      readonly sizeBytes: number
      readonly because: readonly Reason[]
    }
  | { readonly type: 'progress'; readonly seq: number; readonly received: number; readonly size: number }
  | { readonly type: 'state'; readonly seq: number; readonly version: string; readonly state: Report['state']; readonly code?: string }
  | { readonly type: 'retry'; readonly because: readonly Reason[] }

/** Where a check-in led. `because` is the server's, or what went wrong. */
export interface Outcome {
  readonly is: 'up-to-date' | 'not-offered' | 'confirmed' | 'rolled-back' | 'failed'
  readonly installed?: Installed
  readonly update?: { readonly seq: number; readonly version: string; readonly digest: Digest }
  readonly pollAfterMs: number
  readonly because: readonly Reason[]
}

export interface DeviceAgent {
  /**
   * Ends what an earlier run has begun, checks in once, and goes the whole way of the update that is offered.
   * @throws what the server's calls throw while nothing is known to have failed; an abort leaves everything ready to be gone on with
   */
  checkIn(signal: AbortSignal): Promise<Outcome>
  /** What runs, under the name that its release gave it. */
  installed(): Installed | undefined
}

/** Milliseconds until the next check-in where no server has said. */
const defaultPollMs = 60_000

/** Makes the update code of a device: it trusts its flash and its memory, and nothing else of what happened before. */
export function deviceAgent(options: AgentOptions): DeviceAgent {
  const { hardware, memory, onEvent = () => {} } = options
  const { server, isOfServer } = markedServer(options.server)

  function self(): SelfDescription {
    const { installed, ...rest } = hardware.describe()
    if (installed === undefined) return rest
    const named = installed.digest === undefined ? undefined : memory.read().versions[installed.digest]
    return { ...rest, installed: named === undefined ? installed : { ...installed, version: named } }
  }

  const remember = (update: RememberedUpdate | undefined): void => {
    const { versions } = memory.read()
    memory.write({
      versions: update === undefined ? versions : named(versions, update, hardware.describe().installed?.digest),
      ...(update === undefined ? {} : { update }),
    })
  }

  /** Tells the server. Only the end of an update must arrive: it stays remembered until it has. */
  async function tell(update: RememberedUpdate, report: Report, signal: AbortSignal): Promise<void> {
    const { seq, version } = update
    onEvent({ type: 'state', seq, version, state: report.state, ...(report.code === undefined ? {} : { code: report.code }) })
    try {
      await server.report(seq, report, signal)
    } catch (error) {
      // `invalid`: the server knows no such offer any more. The update goes on: the device decides what runs on it.
      if (!isOtaError(error) || (error.fault !== 'unavailable' && error.fault !== 'invalid')) throw error
      if (error.fault === 'unavailable' && isEnd(update)) throw error
    }
  }

  async function end(update: RememberedUpdate, stage: End, reasons: readonly Reason[], signal: AbortSignal): Promise<Outcome> {
    const code = reasons[0]?.code
    const ended: RememberedUpdate = { ...update, stage, ...(code === undefined ? {} : { code }) }
    remember(ended)
    await tell(ended, reportOf(ended, reasons), signal)
    remember(undefined)
    return outcome(stage, reasons, update)
  }

  function outcome(is: Outcome['is'], because: readonly Reason[], update?: RememberedUpdate, pollAfterMs = defaultPollMs): Outcome {
    const { installed } = self()
    return {
      is,
      ...(installed === undefined ? {} : { installed }),
      ...(update === undefined ? {} : { update: { seq: update.seq, version: update.version, digest: update.digest } }),
      pollAfterMs,
      because,
    }
  }

  /** What the last start has shown of an update that had been switched to. */
  async function afterStart(update: RememberedUpdate | undefined, signal: AbortSignal): Promise<Outcome | undefined> {
    const { installed } = self()
    if (installed?.state === 'pending' && !(await passesSelfTest())) {
      const [stage, reasons] = giveUp()
      return update === undefined ? outcome(stage, reasons) : end(update, stage, reasons, signal)
    }
    if (update === undefined) return undefined
    if (isEnd(update))
      return end(update, update.stage, update.code === undefined ? [] : [{ code: update.code, message: 'in an earlier run' }], signal)
    // Whatever stage is remembered: with nothing selected, the bootloader starts an image as soon as it lies whole in the first slot.
    if (installed?.digest === update.digest) return end(update, 'confirmed', [], signal)
    // Not switched yet: the offer stands.
    if (update.stage !== 'switched') return undefined
    return end(update, 'rolled-back', [{ code: 'ROLLED_BACK', message: 'the bootloader went back to the image before' }], signal)
  }

  async function passesSelfTest(): Promise<boolean> {
    const passes = await options.selfTest()
    if (passes) hardware.keep()
    return passes
  }

  function giveUp(): [End, readonly Reason[]] {
    try {
      hardware.giveUp()
      return ['rolled-back', [selfTestFailed]]
    } catch (error) {
      if (!isOtaError(error)) throw error
      return ['failed', [selfTestFailed, ...error.because]]
    }
  }

  async function update(offer: ReceivedOffer, signal: AbortSignal): Promise<Outcome> {
    const [image, ...others] = offer.images
    if (image === undefined || others.length > 0)
      throw fail('DEVICE_UNSUPPORTED', `expected an offer of one image, found ${offer.images.length}`)
    const begun: RememberedUpdate = { seq: offer.seq, version: offer.version, digest: image.digest, stage: 'downloading' }
    remember(begun)
    // The image that runs, under another name.
    if (self().installed?.digest === image.digest) return end(begun, 'confirmed', [], signal)
    try {
      await bring(begun, offer, image, signal)
    } catch (error) {
      // What is not this image's fault leaves the update open: the next run goes on with it.
      if (!isOtaError(error) || isOfServer(error) || retried.has(error.fault)) throw error
      return end(begun, 'failed', reasonsOf(error), signal)
    }
    hardware.restart()
    const shown = await afterStart(memory.read().update, signal)
    if (shown === undefined) throw fail('INTERNAL', `offer ${offer.seq}: expected the restart to show an end, found none`)
    return { ...shown, pollAfterMs: await confirmByCheckIn(signal) }
  }

  /** Shows the server what runs now; what it offers then is for the next time. */
  async function confirmByCheckIn(signal: AbortSignal): Promise<number> {
    try {
      return (await server.checkIn(self(), signal)).pollAfterMs
    } catch (error) {
      // The report has arrived, so that nothing is lost.
      if (isOtaError(error) && error.fault === 'unavailable') return defaultPollMs
      throw error
    }
  }

  /** Everything up to the restart. */
  async function bring(begun: RememberedUpdate, offer: ReceivedOffer, image: OfferedImage, signal: AbortSignal): Promise<void> {
    const { seq } = begun
    const job: Download = {
      port: hardware.port,
      image,
      open: (offset) => server.download(offer, image, offset, signal),
      onBegin: (received) => tell(begun, { state: 'downloading', received }, signal),
      onProgress: (received) => onEvent({ type: 'progress', seq, received, size: image.size }),
      context: { signal, now: options.now() },
    }
    for (let attempt = 1; ; attempt++) {
      await downloadImage(job)
      await tell(begun, { state: 'downloaded', received: image.size }, signal)
      await tell(begun, { state: 'installing' }, signal)
      expectCrc32(image, hardware.readBack(image.size))
      remember({ ...begun, stage: 'switching' })
      try {
        await hardware.port.activate(job.context)
        break
      } catch (error) {
        remember(begun)
        // Flash may lie once, and an earlier run may have been cut in a way that left its mark.
        if (!isOtaError(error) || error.code !== 'SLOT_CONTENT' || attempt === 2) throw error
        onEvent({ type: 'retry', because: reasonsOf(error) })
      }
    }
    remember({ ...begun, stage: 'switched' })
    await tell(begun, { state: 'installed' }, signal)
  }

  async function withdrawn(seq: number, signal: AbortSignal): Promise<void> {
    const { update: begun } = memory.read()
    // Of what it does not remember, it does nothing.
    if (begun?.seq !== seq) return server.report(seq, { state: 'canceled' }, signal)
    if (begun.stage !== 'downloading') return tell(begun, { state: 'cancel-refused' }, signal)
    await tell(begun, { state: 'canceled' }, signal)
    remember(undefined)
  }

  function withoutOffer({ pollAfterMs, because, wantsEvidence }: ReceivedAnswer): Outcome {
    if (wantsEvidence) throw fail('DEVICE_UNSUPPORTED', 'expected a server that asks for no evidence: the virtual device has none to show')
    const isCurrent = because.length === 0 || because.some(({ code }) => code === 'UP_TO_DATE')
    return outcome(isCurrent ? 'up-to-date' : 'not-offered', because, undefined, pollAfterMs)
  }

  return {
    installed: () => self().installed,
    async checkIn(signal) {
      signal.throwIfAborted()
      const before = await afterStart(memory.read().update, signal)
      const answer = await server.checkIn(self(), signal)
      if (answer.cancel !== undefined) await withdrawn(answer.cancel, signal)
      const { offer, because } = answer
      // A run that has just seen an image fail does not begin with it again at once.
      const failedNow = before?.because.includes(selfTestFailed) === true
      if (before !== undefined && (offer === undefined || failedNow)) return { ...before, pollAfterMs: answer.pollAfterMs }
      if (offer === undefined) return withoutOffer(answer)
      onEvent({
        type: 'offered',
        seq: offer.seq,
        version: offer.version,
        sizeBytes: offer.images.reduce((sum, { size }) => sum + size, 0),
        because,
      })
      return update(offer, signal)
    },
  }
}

type End = 'confirmed' | 'rolled-back' | 'failed'

function isEnd(update: RememberedUpdate): update is RememberedUpdate & { readonly stage: End } {
  return update.stage === 'confirmed' || update.stage === 'rolled-back' || update.stage === 'failed'
}

const retried: ReadonlySet<Fault> = new Set<Fault>(['unavailable', 'aborted', 'internal'])

/** The same server, and which errors came from it: a server that refuses says nothing about an image. */
function markedServer(server: UpdateServer): { readonly server: UpdateServer; isOfServer(error: object): boolean } {
  const marked = new WeakSet<object>()
  const mark = (error: unknown): never => {
    if (typeof error === 'object' && error !== null) marked.add(error)
    throw error
  }
  async function* bytes(...call: Parameters<UpdateServer['download']>): ByteStream {
    try {
      yield* await server.download(...call)
    } catch (error) {
      mark(error)
    }
  }
  return {
    isOfServer: (error) => marked.has(error),
    server: {
      checkIn: (...call) => server.checkIn(...call).catch(mark),
      download: bytes,
      report: (...call) => server.report(...call).catch(mark),
    },
  }
}

const selfTestFailed: Reason = Object.freeze({ code: 'SELF_TEST_FAILED', message: 'the new image did not pass its self-test' })

/** hawkBit's limit of one message, which reports keep to. */
const messageLimit = 1024

function reportOf({ stage }: RememberedUpdate, reasons: readonly Reason[]): Report {
  const code = reasons[0]?.code
  const messages = reasons.map(({ message }) => message.slice(0, messageLimit)).slice(0, 50)
  return { state: stage as End, ...(code === undefined ? {} : { code: code.slice(0, 64), messages }) }
}

function reasonsOf({ code, message, because }: OtaError): readonly Reason[] {
  return [{ code, message }, ...because.filter((reason) => reason.code !== code)]
}

/** Versions by image: the new one and the one that runs last, so that they are the last to be forgotten. */
function named(
  versions: Remembered['versions'],
  { digest, version }: RememberedUpdate,
  running: Digest | undefined,
): Remembered['versions'] {
  const { [digest]: _, ...others } = versions
  const current = running === undefined || running === digest ? undefined : others[running]
  if (running === undefined || current === undefined) return { ...others, [digest]: version }
  const { [running]: __, ...rest } = others
  return { ...rest, [running]: current, [digest]: version }
}

/** The digest is checked at the switch; a CRC-32 that disagrees with good content means that the offer contradicts itself. */
function expectCrc32({ digest, crc32 }: OfferedImage, found: { readonly digest: Digest; readonly crc32: number }): void {
  if (crc32 === undefined || found.digest !== digest || found.crc32 === crc32) return
  throw fail('CRC_MISMATCH', `expected the CRC-32 ${crc32} that the offer names, read back ${found.crc32}`)
}
