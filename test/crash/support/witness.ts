import type { Digest, Report } from '@reflash/core'
import type { StoredDevice } from './record.ts'

/** What a device knows of its updates, whatever became of the server: what was answered, and what its own flash runs. */
export interface Witness {
  readonly deviceId: string
  /** Reports that were answered by 2xx, in their order. */
  readonly accepted: readonly { readonly seq: number; readonly report: Report }[]
  /** The image that runs, and whether the device keeps it. */
  truth(): { readonly digest: Digest; readonly isKept: boolean } | undefined
}

/** Collects what a device is answered. */
export function notedReports(): { readonly accepted: { seq: number; report: Report }[]; note(seq: number, report: Report): void } {
  const accepted: { seq: number; report: Report }[] = []
  return { accepted, note: (seq, report) => void accepted.push({ seq, report }) }
}

/** Updates that the journal keeps of a device; of older ones nothing can be said. */
const keptUpdates = 16

const stages = ['plan', 'deliver', 'install'] as const

/** The room that a report leads to at least. */
const leadsTo: Readonly<Partial<Record<Report['state'], (typeof stages)[number]>>> = {
  downloading: 'plan',
  downloaded: 'deliver',
  installing: 'deliver',
  installed: 'install',
  confirmed: 'install',
}

/** Reports that were accepted, and of which the journal knows nothing. */
export function lostReports({ accepted }: Witness, stored: StoredDevice | undefined, attestation: 'none' | 'proven'): readonly string[] {
  return accepted.flatMap(({ seq, report: { state } }) => {
    const shown = (found: string): readonly string[] => [`report "${state}" of offer ${seq} was accepted; found ${found}`]
    const ended = stored?.history.find((entry) => entry.seq === seq)
    if (ended === undefined && stored !== undefined && seq <= stored.seq - keptUpdates) return []
    const isEnd = leadsTo[state] === undefined
    if (ended !== undefined) {
      if (isEnd) return ended.outcome === 'failed' ? [] : shown(ended.outcome)
      return state === 'confirmed' && attestation === 'none' && ended.outcome !== 'confirmed' ? shown(ended.outcome) : []
    }
    const open = stored?.open
    if (open?.seq !== seq) return shown('no such offer')
    if (isEnd || (state === 'confirmed' && attestation === 'none')) return shown(`it open after "${open.stage}"`)
    const hasStage = stages.indexOf(open.stage) >= stages.indexOf(leadsTo[state] as 'plan')
    return hasStage && open.told !== undefined ? [] : shown(`it open after "${open.stage}"`)
  })
}

/** Why the end of an update is no good end of the last one; `stuck` where it has none. */
export function wrongEnd(
  witness: Witness,
  stored: StoredDevice | undefined,
): readonly { readonly is: 'stuck' | 'false'; readonly why: string }[] {
  const { deviceId } = witness
  if (stored === undefined || stored.open !== undefined || stored.history.length === 0) {
    return [{ is: 'stuck', why: `${deviceId}: the update has no end: ${JSON.stringify(stored?.open ?? null)}` }]
  }
  const [last] = stored.history
  if (last === undefined) return []
  if (last.outcome !== 'confirmed' && last.because.length === 0)
    return [{ is: 'stuck', why: `${deviceId}: ended as ${last.outcome} without a reason` }]
  return falselyConfirmed(witness, stored)
}

/** Whether the journal says "confirmed" of an image that the device does not run and keep. Holds at every moment. */
export function falselyConfirmed(
  witness: Witness,
  stored: StoredDevice | undefined,
): readonly { readonly is: 'false'; readonly why: string }[] {
  const [last] = stored?.history ?? []
  if (last?.outcome !== 'confirmed') return []
  const truth = witness.truth()
  if (truth?.digest === last.digest && truth.isKept) return []
  // On its way to the next image already, of which nothing is confirmed yet.
  if (stored?.open !== undefined && truth?.digest === stored.open.digest) return []
  const runs = truth === undefined ? 'nothing' : `${truth.digest}${truth.isKept ? '' : ' on trial'}`
  return [{ is: 'false', why: `${witness.deviceId}: confirmed ${last.digest}, and runs ${runs}` }]
}
