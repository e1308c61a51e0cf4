import type { ByteStream, Digest, Installed, Json, Reason, Report } from '@reflash/core'

/** One image that a device is offered. */
export interface OfferedImage {
  readonly component: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** CRC-32 (IEEE 802.3), unsigned. */
  readonly crc32?: number
}

export interface ReceivedOffer {
  readonly seq: number
  readonly version: string
  readonly images: readonly OfferedImage[]
}

export interface ReceivedAnswer {
  readonly offer?: ReceivedOffer
  /** The number of an offer that is taken back. */
  readonly cancel?: number
  /** Milliseconds. */
  readonly pollAfterMs: number
  /** Whether the server asks for evidence. */
  readonly wantsEvidence: boolean
  readonly because: readonly Reason[]
}

/** What a device says of itself. */
export interface SelfDescription {
  readonly model?: string
  readonly installed?: Installed
  readonly attributes?: Readonly<Record<string, Json>>
}

/** The update server as a device sees it: three calls. Failures are `OtaError`s; `unavailable` may be tried again. */
export interface UpdateServer {
  checkIn(self: SelfDescription, signal: AbortSignal): Promise<ReceivedAnswer>
  /** The bytes from `offset` on, over lost connections where that can be done in good time. */
  download(offer: ReceivedOffer, image: OfferedImage, offset: number, signal: AbortSignal): Promise<ByteStream> | ByteStream
  report(seq: number, report: Report, signal: AbortSignal): Promise<void>
}

/** A way to the update server that is hung up in the end. */
export interface ServerConnection extends UpdateServer {
  close(): void | Promise<void>
}
