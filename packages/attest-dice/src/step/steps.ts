import { certificateSteps } from './certificate-steps.ts'
import { claimSteps } from './claim-steps.ts'
import { deviceSteps } from './device-steps.ts'
import { leafSteps } from './leaf-steps.ts'
import { pathSteps } from './path-steps.ts'
import type { DiceGroup, Step } from './scene.ts'

const order: readonly DiceGroup[] = [
  'limits',
  'order',
  'path',
  'extensions',
  'leaf',
  'proof',
  'measurements',
  'versions',
  'modes',
  'layers',
  'identity',
  'revocation',
]

/** Every step of an appraisal, in the order in which they are reported; all of them are taken, whatever failed before. */
export const steps: readonly Step[] = Object.freeze(
  [...certificateSteps, ...pathSteps, ...leafSteps, ...claimSteps, ...deviceSteps].toSorted(
    (a, b) => order.indexOf(a.group) - order.indexOf(b.group),
  ),
)
