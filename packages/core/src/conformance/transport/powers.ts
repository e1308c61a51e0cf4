import { ok } from 'node:assert/strict'
import { rulesOf } from '../suite.ts'
import type { TransportInstance, TransportRule, TransportSettings } from '../transport-suite.ts'

const rule = rulesOf<TransportInstance, TransportSettings>('transport')

/** Which powers go together. */
export const powerRules: readonly TransportRule[] = [
  rule('powers', 'has connect() and says by which port, or serve(), or both', async ({ plugin }) => {
    const { connect, serve, uses } = plugin
    ok(connect !== undefined || serve !== undefined, 'expected connect() or serve(), found neither: nobody can reach a device with it')
    ok(
      (connect === undefined) === (uses === undefined),
      'uses: expected the port that connect() yields, and nothing where it has no connect()',
    )
    ok(uses === undefined || typeof uses === 'string', `uses: expected a text, found ${typeof uses}`)
  }),
]
