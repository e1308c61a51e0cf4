import { createHash } from 'node:crypto'

/** The same image with its checksum and appended hash recomputed, so that a changed field is the only thing wrong; left alone where it cannot be walked. */
export function sealed(image: Uint8Array): Uint8Array {
  const bytes = image.slice()
  const view = new DataView(bytes.buffer)
  if (bytes.length < 24) return bytes
  let at = 24
  let sum = 0xef
  for (let index = 0; index < (bytes[1] as number); index++) {
    if (at + 8 > bytes.length) return bytes
    const length = view.getUint32(at + 4, true)
    at += 8
    if (at + length > bytes.length) return bytes
    for (const byte of bytes.subarray(at, at + length)) sum ^= byte
    at += length
  }
  const end = at + 16 - (at % 16)
  if (end > bytes.length) return bytes
  bytes[end - 1] = sum
  if (bytes[23] !== 0 && end + 32 <= bytes.length) bytes.set(createHash('sha256').update(bytes.subarray(0, end)).digest(), end)
  return bytes
}
