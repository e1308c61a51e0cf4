import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryRegistry } from '@reflash/core/testing'
import { expect, test } from 'vitest'
import { serverOptions } from '../../src/serve/server-options.ts'
import { temporaryFolder } from '../testing/run-reflash.ts'

test.each(['tokens', 'gatewayToken'])(
  'a file of --%s that other users can read is told of, and one that they cannot is not',
  async (flag) => {
    const folder = await temporaryFolder()
    const path = join(folder, 'secret')
    await writeFile(path, flag === 'tokens' ? 'd1 token-of-d1' : 'token-of-every-device')
    const told: string[] = []
    for (const mode of [0o644, 0o600]) {
      await chmod(path, mode)
      const flags = { repository: 'oci:rel', allowUnsigned: true, state: folder, [flag]: path }
      await serverOptions(
        flags,
        {},
        async () => memoryRegistry(),
        (line) => told.push(line),
      )
    }
    expect(told).toEqual([expect.stringMatching(/secret can be read by every user of this machine; chmod 600/)])
  },
)
