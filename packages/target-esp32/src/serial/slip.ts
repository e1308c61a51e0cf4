/*
 * SLIP, RFC 1055, as the ROM loaders of the ESP32 family speak it: a frame stands between two marks.
 *
 * | on the wire | means |
 * |---|---|
 * | C0 | the mark: a frame begins or ends |
 * | DB DC | the byte C0 |
 * | DB DD | the byte DB |
 * | DB and anything else | the frame is damaged |
 */
const mark = 0xc0
const escapeMark = 0xdb

/** The frame as it goes over the wire, with a mark on each side: the first ends whatever noise the other end has gathered. */
export function encodeSlip(frame: Uint8Array): Uint8Array {
  let length = frame.length + 2
  for (const byte of frame) if (byte === mark || byte === escapeMark) length++
  const bytes = new Uint8Array(length)
  let at = 0
  bytes[at++] = mark
  for (const byte of frame) {
    if (byte === mark || byte === escapeMark) {
      bytes[at++] = escapeMark
      bytes[at++] = byte === mark ? 0xdc : 0xdd
    } else bytes[at++] = byte
  }
  bytes[at] = mark
  return bytes
}

/** Cuts what comes over a wire into frames. What is damaged, or longer than a frame may be, is left out and counted. */
export class SlipDecoder {
  readonly #buffer: Uint8Array
  #length = 0
  #isEscaped = false
  #isDamaged = false
  /** Frames left out so far. */
  dropped = 0

  /** Takes frames of up to that many bytes: memory is bounded however long a wire chatters without a mark. */
  constructor(limitBytes: number) {
    this.#buffer = new Uint8Array(limitBytes)
  }

  /** The frames that end within these bytes, each a copy. */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    const frames: Uint8Array[] = []
    for (const byte of bytes) {
      if (byte === mark) this.#end(frames)
      else if (this.#isEscaped) {
        this.#isEscaped = false
        if (byte === 0xdc) this.#take(mark)
        else if (byte === 0xdd) this.#take(escapeMark)
        else this.#isDamaged = true
      } else if (byte === escapeMark) this.#isEscaped = true
      else this.#take(byte)
    }
    return frames
  }

  #take(byte: number): void {
    if (this.#length === this.#buffer.length) this.#isDamaged = true
    else this.#buffer[this.#length++] = byte
  }

  #end(frames: Uint8Array[]): void {
    if (this.#isDamaged || this.#isEscaped) this.dropped++
    else if (this.#length > 0) frames.push(this.#buffer.slice(0, this.#length))
    this.#length = 0
    this.#isEscaped = false
    this.#isDamaged = false
  }
}
