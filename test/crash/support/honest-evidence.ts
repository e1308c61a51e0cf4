import { digestOf, type Evidence, type EvidenceVerifier } from '@reflash/core'

const mediaType = 'application/honest-evidence'

interface Shown {
  readonly deviceId: string
  readonly nonce: string
  readonly digest: string
}

/** What a board in memory shows when it is asked to prove what it runs: the digest of exactly that. */
export function honestEvidence(deviceId: string, challenge: Uint8Array, running: Uint8Array): Evidence {
  const shown: Shown = { deviceId, nonce: Buffer.from(challenge).toString('hex'), digest: digestOf(running).slice('sha256:'.length) }
  return { mediaType, body: new Uint8Array(Buffer.from(JSON.stringify(shown))) }
}

/** Believes boards in memory: the test decides what they run. */
export const honestVerifier: EvidenceVerifier = Object.freeze<EvidenceVerifier>({
  kind: 'evidence-verifier',
  name: 'honest',
  spec: 0,
  mediaTypes: [mediaType],
  appraise: async ({ body }, { nonce, purpose, deviceId, now }) => {
    const shown = JSON.parse(new TextDecoder().decode(body)) as Shown
    const isFresh = shown.nonce === Buffer.from(nonce).toString('hex')
    const isGood = isFresh && shown.deviceId === deviceId
    return {
      tier: isGood ? 'affirming' : 'contraindicated',
      checks: [{ name: isFresh ? 'IDENTITY' : 'NONCE', status: isGood ? 'passed' : 'failed' }],
      measurements: [{ environment: { model: 'board', layer: 1 }, digests: [{ hashAlg: 'sha256', digest: shown.digest }] }],
      purpose,
      deviceId,
      nonce,
      appraisedAt: now,
      expires: new Date(now.getTime() + 60_000),
    }
  },
})
