import type { AttestationResult, Check } from '@reflash/core'
import type { Environment } from './claims/environment.ts'
import { layersOf, measurementsOf } from './claims/layers.ts'
import type { ReferenceValue } from './claims/reference-values.ts'
import { identitiesOf } from './identity.ts'
import { svnName } from './step/claim-steps.ts'
import type { Asked, DicePolicy, Scene, ShownProof, Step } from './step/scene.ts'
import { steps as allSteps } from './step/steps.ts'
import type { Anchor } from './x509/anchor.ts'
import { type Certificate, NotACertificate, readCertificate } from './x509/certificate.ts'
import { pathOf, type SignatureMemory, signatureMemory } from './x509/path.ts'

/** One check of a chain. */
export interface DiceCheck extends Check {
  /** Index of the certificate it failed on; the leaf is 0. Absent where it is about the whole chain, or passed. */
  readonly certificate?: number
}

/** What there is to judge, and by what. */
export interface ChainToJudge {
  /** DER, leaf first; the anchor may be left out. */
  readonly certificates: readonly Uint8Array[]
  readonly anchors: readonly Anchor[]
  readonly now: Date
  readonly proof: ShownProof | 'not-asked' | undefined
  readonly referenceValues: readonly ReferenceValue[]
  readonly released?: readonly Environment[]
  readonly references?: readonly ReferenceValue[]
  readonly policy?: DicePolicy
  readonly layerNames?: Readonly<Record<number, string>>
  readonly asked?: Asked
}

/** The verdict on a chain. */
export interface ChainAppraisal extends Pick<AttestationResult, 'tier' | 'measurements'> {
  readonly recovery: boolean
  readonly checks: readonly DiceCheck[]
  /** All that the device may be enrolled under, best first. */
  readonly identities: readonly string[]
  /** Security versions by environment, to be remembered. */
  readonly svn: Readonly<Record<string, number>>
}

/** What an appraisal may keep from one to the next. */
export interface Remembered {
  read(der: Uint8Array): Certificate | undefined
  /** A certificate of a chain that led to an anchor. */
  keep(certificate: Certificate): void
  readonly signatures: SignatureMemory
}

/** Judges a chain: every step is taken and reported. Synchronous and pure but for what `remembered` keeps. */
export function judgeChain(input: ChainToJudge, remembered?: Remembered, steps: readonly Step[] = allSteps): ChainAppraisal {
  const scene = sceneOf(input, remembered)
  const readable = scene.read.every((certificate) => typeof certificate !== 'string')
  const byBytes = steps.filter(({ needs }) => needs === 'bytes').flatMap((step) => checksOf(step, scene))
  const isWhole = readable && !byBytes.some(({ name, status }) => name === 'CHAIN_LIMITS' && status === 'failed')
  const others = steps.filter(({ needs }) => needs === 'chain')
  const checks = [
    ...byBytes,
    ...others.flatMap((step) =>
      isWhole ? checksOf(step, scene) : [{ name: step.name, status: 'skipped' as const, reason: 'the chain cannot be read' }],
    ),
  ]
  if (remembered !== undefined && checks.every(({ status }) => status !== 'failed')) scene.path.chain.forEach(remembered.keep)
  return {
    tier: tierOf(checks, isWhole),
    recovery: scene.layers.some(({ modes }) => modes.recovery === true),
    checks,
    measurements: measurementsOf(scene.layers),
    identities: scene.identities,
    svn: Object.fromEntries(scene.layers.flatMap((layer) => (layer.svn === undefined ? [] : [[svnName(layer), layer.svn]]))),
  }
}

function sceneOf(input: ChainToJudge, remembered: Remembered | undefined): Scene {
  const { certificates, anchors, now, proof, referenceValues, released = [], references = [], policy = {}, asked } = input
  const signatures = remembered?.signatures ?? signatureMemory()
  const read = certificates.map((der) => remembered?.read(der) ?? readOne(der))
  const path = pathOf(
    read.filter((certificate) => typeof certificate !== 'string'),
    anchors,
    signatures,
  )
  const layers = layersOf(path.chain, input.layerNames)
  return {
    presented: certificates,
    read,
    path,
    signatures,
    layers,
    identities: identitiesOf(path, layers),
    now,
    policy,
    referenceValues,
    released,
    references,
    proof,
    ...(asked === undefined ? {} : { asked }),
  }
}

function readOne(der: Uint8Array): Certificate | string {
  try {
    return readCertificate(der)
  } catch (error) {
    if (error instanceof NotACertificate) return error.message
    throw error
  }
}

function checksOf(step: Step, scene: Scene): readonly DiceCheck[] {
  const found = step.find(scene)
  if (typeof found === 'string') return [{ name: step.name, status: 'skipped', reason: found }]
  if (found.length === 0) return [{ name: step.name, status: 'passed' }]
  return found.map(({ certificate, reason }) => ({
    name: step.name,
    status: 'failed',
    ...(certificate === undefined ? {} : { certificate }),
    reason: printable(reason),
  }))
}

/** Characters of a reason: it goes into journals, logs and terminals. */
const reasonLimit = 500

// Texts of a certificate are a stranger's: a line break or an escape sequence in them would write where it should not.
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out here
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?').slice(0, reasonLimit)
}

// AR4SI: nothing can be said of what cannot be read; a good device in recovery needs care; all else is a reason not to trust it.
function tierOf(checks: readonly DiceCheck[], isWhole: boolean): ChainAppraisal['tier'] {
  if (!isWhole) return 'none'
  const failed = checks.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return 'affirming'
  return failed.every(({ name }) => name === 'MODE_RECOVERY') ? 'warning' : 'contraindicated'
}
