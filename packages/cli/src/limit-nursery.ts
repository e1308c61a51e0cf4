import { setFlagsFromString } from 'node:v8'

/**
 * Mebibytes of a semi-space. What a server makes per request is garbage a moment later; by itself V8 lets so much of it gather that
 * 200 downloads hold 70 MiB more.
 */
const semiSpaceMiB = 4

/** Keeps V8's young generation small in this process. */
export function limitNursery(): void {
  setFlagsFromString(`--max-semi-space-size=${semiSpaceMiB}`)
}
