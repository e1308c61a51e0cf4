import { join } from 'node:path'
import { diskCache } from '@reflash/core'
import { defineConfig } from '../../../../src/index.ts'

/** How many times faster than with the default limits an attack is over. Nothing else differs. */
const faster = 10

// Every image comes from its file, so that stalled downloads and devices compete for the same buffers.
export default defineConfig({
  cache: diskCache({ directory: join(process.env.REFLASH_FLOODED_STATE as string, 'cache'), hotBytes: 0 }),
  http: {
    limits: {
      headersTimeoutMs: 12_000 / faster,
      requestTimeoutMs: 32_000 / faster,
      idleTimeoutMs: 60_000 / faster,
      keepAliveTimeoutMs: 65_000 / faster,
      checkIntervalMs: 2_000 / faster,
      stallTimeoutMs: 30_000 / faster,
      pressedStallMs: 10_000 / faster,
      minBytesPerSecond: 512 * faster,
    },
  },
})
