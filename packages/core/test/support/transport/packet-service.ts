import { createReadStream } from 'node:fs'
import {
  type Body,
  type ByteStream,
  coreError,
  type Evidence,
  type Fault,
  isDeviceId,
  isOtaError,
  type Json,
  type Principal,
  type Report,
  type ServeContext,
} from '@reflash/core'
import type { ByteChannel } from './channels.ts'
import { jsonPacket, packet, packetReader } from './packets.ts'

/**
 * The dialect of the packet transport: each packet is four bytes of length and JSON, or a piece of an image.
 *
 * | ask | says | is answered by |
 * |---|---|---|
 * | `check-in` | state, evidence? | answer |
 * | `image` | seq, offset | `{}`, then a piece for each packet `more`, an empty one at the end |
 * | `report` | seq, report | `{}` |
 */
export interface Request {
  readonly id: string
  readonly token?: string
  readonly ask: 'check-in' | 'image' | 'report'
  readonly said: { readonly [key: string]: Json }
}

/** A service of which a mutant does one thing otherwise. */
export interface ServiceHabits {
  readonly packetBytes: number
  /** Milliseconds that a client may stay silent in the middle of its word, or of an image. */
  readonly idleMs: number
  /** Milliseconds that answers get which are under way at the end. */
  readonly drainMs: number
  admit(request: Request, context: ServeContext, signal: AbortSignal): Promise<Principal>
  refusal(error: unknown): { readonly code: string; readonly fault: Fault; readonly message: string }
  /** The bytes of an image as they are handed on. */
  image(body: Body, size: number): ByteStream
  /** What a client that leaves means for the gateway. */
  leave(work: AbortController): void
  /** Whether its devices report; of others it says that an image was sent. */
  readonly reports: boolean
  readonly connections: number
  reader(limitBytes: number): ReturnType<typeof packetReader>
  isAsk(ask: unknown): boolean
  /** What becomes of images under way: whether they are waited for when the end comes, and whether they are cut when it is too late. */
  readonly drainsImages: boolean
  readonly cutsImages: boolean
  /** The end of the stream of an image that is not wholly sent. */
  drop(pieces: AsyncIterator<Uint8Array>): void
}

export const rightService: ServiceHabits = {
  packetBytes: 64 * 1024,
  idleMs: 400,
  drainMs: 250,
  reports: true,
  connections: 200,
  drainsImages: true,
  cutsImages: true,
  reader: packetReader,
  isAsk,
  admit,
  refusal,
  image: exactly,
  leave: (work) => work.abort(coreError('ABORTED', 'the client has left')),
  drop: (pieces) => void pieces.return?.().catch(() => undefined),
}

async function admit({ id, token }: Request, { authenticators }: ServeContext, signal: AbortSignal): Promise<Principal> {
  if (!isDeviceId(id)) throw coreError('INVALID_STATE', 'expected the id of a device, found something else')
  for (const authenticator of authenticators) {
    const who = await authenticator.authenticate({ claimedId: id, ...(token === undefined ? {} : { token }) }, { signal })
    if (who === undefined) continue
    if (who.deviceId === id) return who
    break
  }
  throw coreError('WRONG_DEVICE', 'expected a device that proves who it is, found one that does not')
}

function refusal(error: unknown): ReturnType<ServiceHabits['refusal']> {
  if (!isOtaError(error)) return { code: 'INTERNAL', fault: 'internal', message: 'internal error' }
  const { code, fault, message } = error
  const isOurs = fault === 'unavailable' || fault === 'internal' || fault === 'aborted'
  return { code, fault, message: isOurs ? 'try again later' : message }
}

async function* exactly(body: Body, size: number): ByteStream & AsyncGenerator<Uint8Array> {
  let left = size
  for await (const bytes of streamOf(body)) {
    if (bytes.length === 0) continue
    const part = bytes.subarray(0, left)
    left -= part.length
    yield part
    if (left === 0) return
  }
  throw coreError('TRUNCATED', `expected ${size} bytes, found ${size - left}`)
}

export function streamOf(body: Body): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (body instanceof Uint8Array) return [body]
  if ('path' in body) return createReadStream(body.path, { start: body.offset, end: body.offset + body.length - 1 })
  return body
}

/** Answers one connection, one request after the other. */
export function answerChannel(channel: ByteChannel, context: ServeContext, habits: ServiceHabits) {
  const take = habits.reader(habits.packetBytes)
  const packets: Uint8Array[] = []
  const work = new AbortController()
  let isOpen = true
  let isDraining = false
  let isBusy = false
  let isImage = false
  let wake: () => void = () => undefined
  let idle: NodeJS.Timeout | undefined

  channel.onBytes = (bytes) => {
    const found = take(bytes)
    if (found === undefined) return end()
    packets.push(...found)
    wake()
  }
  const end = (): void => {
    if (!isOpen) return
    isOpen = false
    habits.leave(work)
    channel.close()
    clearTimeout(idle)
    wake()
  }
  channel.onEnd = end

  async function next(): Promise<Uint8Array | undefined> {
    while (packets.length === 0 && isOpen && !(isDraining && !isBusy)) {
      idle = setTimeout(end, habits.idleMs)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      clearTimeout(idle)
    }
    return isOpen ? packets.shift() : undefined
  }

  async function sendImage(who: Principal, said: Request['said']): Promise<void> {
    const offset = Number(said.offset ?? 0)
    const { gateway } = context
    const { signal } = work
    const ref = said.seq === 'current' ? 'current' : Number(said.seq)
    const { representation, body } = await gateway.read(who, ref, 'app', { offset, signal })
    const pieces = habits.image(body, representation.descriptor.size - offset)[Symbol.asyncIterator]()
    const drop = (): void => habits.drop(pieces)
    isImage = true
    signal.addEventListener('abort', drop)
    try {
      channel.send(jsonPacket({}))
      for (;;) {
        if ((await next()) === undefined) return
        const step = await pieces.next()
        if (signal.aborted) return
        channel.send(packet(step.done ? new Uint8Array() : step.value))
        if (step.done) break
      }
    } catch {
      // The client was promised a whole: a connection that ends is the only honest word.
      end()
      return
    } finally {
      signal.removeEventListener('abort', drop)
      isImage = false
      drop()
    }
    if (!habits.reports) await gateway.sent(who, ref, 'app')
  }

  async function answer(bytes: Uint8Array): Promise<void> {
    const { signal } = work
    try {
      const request = parsed(bytes, habits)
      const { said } = request
      const who = await habits.admit(request, context, signal)
      if (request.ask === 'image') return await sendImage(who, said)
      if (request.ask === 'report') {
        await context.gateway.report(who, Number(said.seq), said.report as unknown as Report, { signal })
        return channel.send(jsonPacket({}))
      }
      const { evidence, ...state } = said
      const shown = evidence as unknown as { readonly mediaType: string; readonly body: string } | undefined
      const proof: Evidence | undefined = shown && { mediaType: shown.mediaType, body: new Uint8Array(Buffer.from(shown.body, 'base64')) }
      const { challenge, ...told } = await context.gateway.checkIn(who, state, proof, {
        signal,
        ...(habits.reports ? {} : { reports: false }),
      })
      channel.send(jsonPacket({ ...told, ...(challenge === undefined ? {} : { challenge: Buffer.from(challenge).toString('base64') }) }))
    } catch (error) {
      channel.send(jsonPacket({ error: habits.refusal(error) }))
    }
  }

  const done = (async () => {
    for (;;) {
      const bytes = await next()
      if (bytes === undefined) break
      isBusy = true
      await answer(bytes)
      isBusy = false
    }
    end()
  })()

  return {
    done,
    /** No request is taken any more; the one that is under way is answered. */
    drain(): void {
      isDraining = true
      if (isImage && !habits.drainsImages) end()
      wake()
    },
    /** It is waited for no longer. */
    cut(): void {
      if (!isImage || habits.cutsImages) end()
    },
    end,
  }
}

function parsed(bytes: Uint8Array, habits: ServiceHabits): Request {
  try {
    const request = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Partial<Request> | null
    const { id, token, ask, said } = request ?? {}
    const isToken = token === undefined || typeof token === 'string'
    if (typeof id === 'string' && isToken && habits.isAsk(ask) && typeof said === 'object' && said !== null)
      return { ...request, id, ask: ask as Request['ask'], said }
  } catch {
    // What is no JSON is refused as what is no request.
  }
  throw coreError('INVALID_STATE', 'expected a request, found something else')
}

function isAsk(ask: unknown): ask is Request['ask'] {
  return ask === 'check-in' || ask === 'image' || ask === 'report'
}
