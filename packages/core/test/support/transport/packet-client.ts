import { type ByteStream, concat, coreError, type Fault, OtaError, throwIfAborted } from '@reflash/core'
import type { Attack, Caller, Carried, KnownDevice, PullAnswer, PullBench, PullClient, RawCheckIn } from '@reflash/core/conformance'
import type { Harbour } from './channels.ts'
import { jsonPacket, packet, packetReader } from './packets.ts'

export const carriedByPackets: readonly Carried[] = [
  'model',
  'installed',
  'attributes',
  'evidence',
  'seq',
  'digest',
  'crc32',
  'poll',
  'reasons',
  'cancel',
  'reports',
  'offset',
  'hang-up',
]

const largest = 1024 * 1024
const silent = (): Error => coreError('DEVICE_SILENT', 'expected an answer of the server, found the line broken')

interface Conversation {
  ask(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>
  close(): void
}

function conversation(harbour: Harbour, address: string, heard: Uint8Array[]): Conversation {
  const channel = harbour.dial(address)
  const take = packetReader(largest)
  const came: Uint8Array[] = []
  let isOpen = true
  let wake: () => void = () => undefined
  channel.onBytes = (bytes) => {
    heard.push(bytes)
    came.push(...(take(bytes) ?? []))
    wake()
  }
  channel.onEnd = () => {
    isOpen = false
    wake()
  }
  return {
    async ask(request, signal) {
      throwIfAborted(signal)
      channel.send(request)
      const leave = (): void => wake()
      signal?.addEventListener('abort', leave)
      while (came.length === 0) {
        if (!isOpen) throw silent()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        throwIfAborted(signal)
      }
      signal?.removeEventListener('abort', leave)
      return came.shift() as Uint8Array
    },
    close: () => channel.close(),
  }
}

function answerOf(bytes: Uint8Array): Record<string, unknown> {
  const answer = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
  if (answer.error === undefined) return answer
  const { code, fault, message } = answer.error as { readonly code: string; readonly fault: Fault; readonly message: string }
  throw new OtaError(code, fault, message)
}

interface WireAnswer extends Omit<PullAnswer, 'offer' | 'challenge'> {
  readonly challenge?: string
  readonly offer?: {
    readonly seq: number
    readonly version: string
    readonly components: readonly {
      readonly representations: readonly {
        readonly crc32: number
        readonly descriptor: { readonly size: number; readonly digest: string }
      }[]
    }[]
  }
}

function pullAnswer({ offer, challenge, ...rest }: WireAnswer): PullAnswer {
  const image = offer?.components[0]?.representations[0]
  return {
    ...rest,
    ...(offer === undefined || image === undefined
      ? {}
      : { offer: { seq: offer.seq, version: offer.version, crc32: image.crc32, ...image.descriptor } }),
    ...(challenge === undefined ? {} : { challenge: new Uint8Array(Buffer.from(challenge, 'base64')) }),
  }
}

/** A device that speaks packets. `reports` false: a device that never does. */
export function packetClient(harbour: Harbour, address: string, { id, token }: Caller, reports = true): PullClient {
  const heard: Uint8Array[] = []
  const open = new Set<Conversation>()
  const dial = (): Conversation => {
    const line = conversation(harbour, address, heard)
    open.add(line)
    return line
  }
  const request = (ask: string, said: unknown): Uint8Array => jsonPacket({ id, token, ask, said })
  const asked = async (ask: string, said: unknown, signal?: AbortSignal): Promise<Record<string, unknown>> => {
    const line = dial()
    try {
      return answerOf(await line.ask(request(ask, said), signal))
    } finally {
      line.close()
    }
  }
  return {
    async checkIn({ evidence, ...state } = {}, { signal } = {}) {
      const shown = evidence && { mediaType: evidence.mediaType, body: Buffer.from(evidence.body).toString('base64') }
      return pullAnswer((await asked('check-in', { ...state, evidence: shown }, signal)) as unknown as WireAnswer)
    },
    async *image({ seq }, { offset = 0, signal } = {}): ByteStream & AsyncGenerator<Uint8Array> {
      const line = dial()
      try {
        answerOf(await line.ask(request('image', { seq: reports ? seq : 'current', offset } as never), signal))
        for (;;) {
          const piece = await line.ask(packet(new TextEncoder().encode('more')), signal)
          if (piece.length === 0) return
          yield piece
        }
      } finally {
        line.close()
      }
    },
    ...(reports
      ? { report: async (seq, report, { signal } = {}) => void (await asked('report', { seq, report }, signal)) }
      : ({} as Pick<PullClient, 'report'>)),
    heard: () => concat(heard),
    async close() {
      for (const line of open) line.close()
    },
  }
}

function rawCheckIn(harbour: Harbour, address: string, { id, token }: KnownDevice): RawCheckIn {
  const answered = (send: (channel: ReturnType<Harbour['dial']>) => void): Promise<void> =>
    new Promise((resolve) => {
      const channel = harbour.dial(address)
      const over = (): void => {
        channel.close()
        resolve()
      }
      channel.onBytes = over
      channel.onEnd = over
      send(channel)
    })
  return {
    bytes: jsonPacket({ id, token, ask: 'check-in', said: { model: 'board' } }),
    send: (bytes, { pieceBytes = Math.max(1, bytes.length) } = {}) =>
      answered((channel) => {
        for (let at = 0; at < bytes.length; at += pieceBytes) channel.send(bytes.subarray(at, at + pieceBytes))
      }),
    async hold(bytes) {
      const channel = harbour.dial(address)
      channel.send(bytes)
      return async () => channel.close()
    },
  }
}

/** Tricks that packets make possible. */
function attacks(harbour: Harbour): readonly Attack[] {
  const attack = (name: string, bytes: (device: KnownDevice) => Uint8Array): Attack => ({
    name,
    run: (address, device) => rawCheckIn(harbour, address, device).send(bytes(device)),
  })
  const text = (content: string): Uint8Array => packet(new TextEncoder().encode(content))
  return [
    attack('a packet of 4 GiB', () => Uint8Array.of(255, 255, 255, 255, 1, 2, 3)),
    attack('no JSON', () => text('{"id":')),
    attack('JSON that is no request', () => text('[[[[null]]]]')),
    attack('an id that is no text', ({ token }) => jsonPacket({ id: ['device-1'], token, ask: 'check-in', said: {} })),
    attack('a word that nobody knows', ({ id, token }) => jsonPacket({ id, token, ask: 'constructor', said: {} })),
  ]
}

/** How devices that speak packets look to a server. */
export function packetBench(harbour: Harbour, reports = true): PullBench {
  return {
    carries: reports ? carriedByPackets : carriedByPackets.filter((one) => one !== 'reports'),
    client: async (address, caller) => packetClient(harbour, address, caller, reports),
    raw: async (address, device) => rawCheckIn(harbour, address, device),
    attacks: attacks(harbour),
  }
}
