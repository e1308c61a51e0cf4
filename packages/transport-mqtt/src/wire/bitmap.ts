/** Bit `index` of a bitmap: the least of byte 0 is the first. Beyond its end all bits are 0. */
export function hasBit(bitmap: Uint8Array, index: number): boolean {
  return ((bitmap[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
}

/** A bitmap with these bits, as short as it can be. */
export function bitmapOf(indexes: Iterable<number>): Uint8Array {
  const all = [...indexes]
  const bitmap = new Uint8Array(all.length === 0 ? 0 : (Math.max(...all) >> 3) + 1)
  for (const index of all) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
  return bitmap
}
