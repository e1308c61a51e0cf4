/** What the user of a line is told. */
export interface LineListener {
  bytes(chunk: Uint8Array): void
  /** Once, when nothing more can come. */
  ended(cause?: unknown): void
}

/** A serial line that is open: a port of this machine, a socket, or whatever else carries bytes both ways. */
export interface SerialLine {
  /** Tells everything from now on to this listener alone. */
  listen(listener: LineListener): void
  /** Resolves once the bytes are on their way; rejects where the line has ended. */
  write(bytes: Uint8Array): Promise<void>
  /** Changes the speed of this end; a line that has no speed of its own leaves it out. */
  setBaud?(baud: number): Promise<void>
  /** Sets the control lines; a socket or a pseudo-terminal has none, and leaves it out. */
  setSignals?(signals: { readonly dtr?: boolean; readonly rts?: boolean }): Promise<void>
  close(): Promise<void>
}

/** Opens a line. `path` is a port of this machine, or `socket://<host>:<port>`. @throws an `OtaError` with fault `unavailable` */
export type OpenLine = (path: string, options: { readonly baud: number; readonly signal: AbortSignal }) => Promise<SerialLine>
