import type { Composition } from '../composition.ts'
import { fail } from '../core-errors.ts'
import { issueNonce, takeNonce } from '../journey/challenge.ts'
import { checkEvidence } from '../journey/reported-state.ts'
import { sameBytes } from '../update/appraise.ts'
import type { Presented } from '../update/device-line.ts'
import { act, type Way } from './drive.ts'

export interface Challenged extends Way {
  readonly composition: Composition
  readonly signal: AbortSignal
}

/**
 * Asks the device over its connection for evidence of one purpose, with a nonce that counts once; undefined where the connection cannot
 * carry evidence.
 * @throws `EVIDENCE_REFUSED` (rejected) where the nonce was used or has expired meanwhile, `INVALID_STATE`, and what transport and journal throw
 */
export async function presentedFor(challenged: Challenged, purpose: 'admit' | 'confirm'): Promise<Presented | undefined> {
  const { composition, connection, deviceId, signal } = challenged
  const { journal, random, clock } = composition
  if (connection.evidence === undefined) return undefined
  const nonce = await issueNonce(journal, deviceId, purpose, random, clock())
  const evidence = await act(challenged, purpose, signal, async (context) => connection.evidence?.(nonce, context))
  const taken = await takeNonce(journal, deviceId, purpose, clock())
  if (evidence === undefined) return undefined
  checkEvidence(evidence)
  if (taken !== undefined && sameBytes(taken, nonce)) return { evidence, nonce }
  throw fail(
    'EVIDENCE_REFUSED',
    `device ${deviceId}: expected evidence for a nonce that still counts, found one that was used or has expired`,
    {
      stage: purpose,
      because: [{ code: 'EVIDENCE_REPLAYED', message: 'the challenge was answered too late, or by two at once' }],
    },
  )
}
