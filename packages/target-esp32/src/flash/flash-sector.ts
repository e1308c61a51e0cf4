/** The least that NOR flash erases, bytes. */
export const flashSectorBytes = 0x1000
