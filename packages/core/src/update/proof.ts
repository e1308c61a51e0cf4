import { fail } from '../core-errors.ts'
import type { Stage } from '../errors.ts'

declare const passed: unique symbol

/** What a room makes and the next one demands: branded for the compiler, and guarded at run time. */
export type Proof<S extends Stage, T> = Readonly<T> & { readonly [passed]: S }

// A spread copy, a hand-made object or parsed JSON is not in here, whatever its fields say.
const made = new WeakMap<object, Stage>()

/** Makes a proof. Only the rooms import this; it is not exported from the package. */
export function prove<S extends Stage, T extends object>(stage: S, value: T): Proof<S, T> {
  const proof = Object.freeze({ ...value }) as Proof<S, T>
  made.set(proof, stage)
  return proof
}

/** @throws `FORGED_PROOF` where `value` did not come out of room `stage`. */
export function demand(stage: Stage, value: unknown): void {
  if (typeof value === 'object' && value !== null && made.get(value) === stage) return
  throw fail(
    'FORGED_PROOF',
    `expected what the room "${stage}" made, found ${value === null ? 'null' : `an ${typeof value} from elsewhere`}`,
    { stage },
  )
}
