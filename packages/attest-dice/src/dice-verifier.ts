import {
  type AppraiseContext,
  type AttestationResult,
  coreError,
  type Evidence,
  type EvidenceVerifier,
  throwIfAborted,
} from '@reflash/core'
import { certificateMemory } from './certificate-memory.ts'
import type { Environment } from './claims/environment.ts'
import { checkEnvironment, checkReferenceValues, type ReferenceValue, referencesOf } from './claims/reference-values.ts'
import { advanced, readState, type StoredState, writeState } from './device-state.ts'
import { fail } from './dice-errors.ts'
import { type DiceEvidence, decodeEvidence, diceEvidenceType } from './evidence.ts'
import { type ChainAppraisal, judgeChain, type Remembered } from './judge-chain.ts'
import { contextOf, proofMessage } from './proof.ts'
import type { DicePolicy, ShownProof, Step } from './step/scene.ts'
import { steps } from './step/steps.ts'
import { type Anchor, readAnchors, type TrustAnchor } from './x509/anchor.ts'

export interface DiceVerifierOptions extends DicePolicy {
  /** `dice` where absent; two verifiers of one composition need two names, since each remembers devices under its own. */
  readonly name?: string
  /** Who is trusted to issue chains, in PEM or DER: an authority, unless `{ is: 'device' }`. At least one. */
  readonly anchors: readonly (string | Uint8Array | TrustAnchor)[]
  /**
   * Which identity each device must have (`ueid:<hex>` or `key:<SHA-256 hex>`, as an appraisal tells it); a device that is not listed is
   * refused. `first-use` believes the first that a device shows, and holds it to it.
   */
  readonly identities: Readonly<Record<string, string>> | 'first-use'
  /** What is known to be good; none where absent. */
  readonly referenceValues?: readonly ReferenceValue[]
  /** Environments whose reference values come with each release: any version may ask for an update, and only the release's own confirms it. */
  readonly released?: readonly Environment[]
  /** Names of layers, as releases call them in their measurements: `{ 2: 'application' }`. */
  readonly layerNames?: Readonly<Record<number, string>>
  /** Milliseconds for which an appraisal counts; a minute where absent. */
  readonly resultLifeMs?: number
  /** Certificates of affirmed chains that are remembered, so that they are read and verified once; 2048 where absent (some 20 MiB), 0 for none. */
  readonly rememberedCertificates?: number
}

/** Appraisals of one device at once; more is no device. */
const rounds = 8

/**
 * Makes the verifier of DICE evidence: an X.509 chain to a trust anchor (TCG DICE or Open DICE) with a proof by the key of its leaf.
 * @throws `DICE_OPTIONS_INVALID`, `CERTIFICATES_INVALID`, `REFERENCE_VALUES_INVALID`; `appraise` throws `EVIDENCE_INVALID`,
 * `JOURNAL_CONFLICT` (unavailable), `ABORTED`, and what the journal throws
 */
export function diceVerifier(options: DiceVerifierOptions): EvidenceVerifier {
  return verifierOf(options, steps)
}

/** A verifier that takes these steps: the tests leave one out to show that it is missed. Internal. */
export function verifierOf(options: DiceVerifierOptions, steps: readonly Step[]): EvidenceVerifier {
  const { name = 'dice', resultLifeMs = 60_000, rememberedCertificates = 2048 } = options
  const settings = readOptions(options)
  expectCount('resultLifeMs', resultLifeMs, 1)
  expectCount('rememberedCertificates', rememberedCertificates, 0)
  const remembered = certificateMemory(rememberedCertificates)
  const opens = opensOf(options)
  return Object.freeze<EvidenceVerifier>({
    kind: 'evidence-verifier',
    name,
    spec: 0,
    mediaTypes: Object.freeze([diceEvidenceType]),
    ...(opens === undefined ? {} : { opens }),
    async appraise(evidence: Evidence, context: AppraiseContext): Promise<AttestationResult> {
      throwIfAborted(context.signal)
      const shown = decodeEvidence(evidence)
      for (let round = 0; round < rounds; round++) {
        const stored = await readState(context.state, context.deviceId, context.signal)
        const appraisal = judge(shown, context, stored, settings, remembered, steps)
        if (await remember(appraisal, context, stored, settings)) return resultOf(appraisal, context, resultLifeMs)
      }
      throw coreError(
        'JOURNAL_CONFLICT',
        `device ${context.deviceId}: expected to remember an appraisal within ${rounds} rounds, found another writer in each`,
      )
    },
  })
}

interface Settings extends Pick<DiceVerifierOptions, 'identities' | 'layerNames'> {
  readonly anchors: readonly Anchor[]
  readonly referenceValues: readonly ReferenceValue[]
  readonly released: readonly Environment[]
  readonly policy: DicePolicy
}

function readOptions(options: DiceVerifierOptions): Settings {
  const { anchors, identities, referenceValues = [], released = [], required = [], layerNames, expectedLayers = [] } = options
  if (identities !== 'first-use' && (typeof identities !== 'object' || identities === null)) {
    throw fail('DICE_OPTIONS_INVALID', "identities: expected an identity for each device, or 'first-use'; found neither")
  }
  if (!['tcg', 'open-dice', 'auto', undefined].includes(options.profile)) {
    throw fail('DICE_OPTIONS_INVALID', `profile: expected tcg, open-dice or auto, found ${String(options.profile)}`)
  }
  expectCount('notBeforeSkewMs', options.notBeforeSkewMs ?? 0, 0)
  for (const layer of expectedLayers) expectCount('expectedLayers', layer, 0)
  // A typo must not end as a condition that nothing meets, or that everything does.
  released.forEach((environment, index) => void checkEnvironment(environment, `released[${index}]`))
  required.forEach((environment, index) => void checkEnvironment(environment, `required[${index}]`))
  return {
    anchors: readAnchors(anchors),
    identities: identities === 'first-use' ? identities : { ...identities },
    referenceValues: checkReferenceValues(referenceValues),
    released: structuredClone(released),
    ...(layerNames === undefined ? {} : { layerNames: { ...layerNames } }),
    policy: structuredClone({
      profile: options.profile ?? 'auto',
      allowCdiLeaf: options.allowCdiLeaf ?? false,
      allowUnknownLayers: options.allowUnknownLayers ?? false,
      required,
      expectedLayers,
      notBeforeSkewMs: options.notBeforeSkewMs ?? 0,
      revoked: options.revoked ?? {},
    }),
  }
}

function opensOf({ identities, allowUnknownLayers, allowCdiLeaf }: DiceVerifierOptions): string | undefined {
  const sentences = [
    ...(identities === 'first-use' ? ['the first identity that a device shows is believed'] : []),
    ...(allowUnknownLayers === true ? ['layers without a reference value may run anything'] : []),
    ...(allowCdiLeaf === true ? ['keys that are meant for certificates may prove'] : []),
  ]
  return sentences.length === 0 ? undefined : sentences.join('; ')
}

function judge(
  shown: DiceEvidence,
  context: AppraiseContext,
  { state }: StoredState,
  settings: Settings,
  remembered: Remembered,
  steps: readonly Step[],
): ChainAppraisal {
  const { purpose, deviceId, now, references } = context
  const { identities, anchors, referenceValues, released, policy, layerNames } = settings
  const listed = identities === 'first-use' ? state.identity : Object.hasOwn(identities, deviceId) ? identities[deviceId] : null
  return judgeChain(
    {
      certificates: shown.certificates,
      anchors,
      now,
      referenceValues,
      released,
      references: referencesOf(references),
      policy,
      ...(layerNames === undefined ? {} : { layerNames }),
      proof: proofOf(shown, context),
      asked: { purpose, deviceId, identity: context.enrolled ?? listed, svn: state.svn },
    },
    remembered,
    steps,
  )
}

function proofOf({ certificates: [leaf], proof }: DiceEvidence, context: AppraiseContext): ShownProof | undefined {
  if (leaf === undefined || proof === undefined) return undefined
  const { nonce } = context
  return { message: proofMessage(nonce, leaf, contextOf(context)), signature: proof.signature, nonce, claimed: proof }
}

// Only what was affirmed is remembered: a chain that fails must not raise the bar for the device it claims to be of.
async function remember(
  appraisal: ChainAppraisal,
  { deviceId, state: store, signal }: AppraiseContext,
  stored: StoredState,
  { identities }: Settings,
): Promise<boolean> {
  if (appraisal.tier !== 'affirming') return true
  const first = identities === 'first-use' && stored.state.identity === undefined ? appraisal.identities[0] : undefined
  const next = advanced(stored.state, appraisal.svn, first)
  return next === stored.state || writeState(store, deviceId, stored, next, signal)
}

function resultOf(
  appraisal: ChainAppraisal,
  { purpose, deviceId, nonce, now, enrolled }: AppraiseContext,
  lifeMs: number,
): AttestationResult {
  const { tier, recovery, checks, measurements, identities } = appraisal
  const identity = enrolled !== undefined && identities.includes(enrolled) ? enrolled : identities[0]
  return {
    tier,
    ...(recovery ? { recovery } : {}),
    checks,
    measurements,
    ...(identity === undefined ? {} : { identity }),
    purpose,
    deviceId,
    nonce: nonce.slice(),
    appraisedAt: now,
    expires: new Date(now.getTime() + lifeMs),
  }
}

function expectCount(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw fail('DICE_OPTIONS_INVALID', `${name}: expected a whole number from ${least} on, found ${value}`)
}
