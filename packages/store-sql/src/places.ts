import {
  type Claim,
  type Claimed,
  type Deployment,
  type FleetStore,
  type FleetUpdate,
  judgeClaim,
  judgeSettlement,
  movedCounters,
  type Settlement,
} from '@reflash/core'
import { batches, type Outcome } from './batches.ts'
import type { SqlConnection } from './connect.ts'
import { type Claimant, claimants, type Db, deploymentRow } from './fleet-queries.ts'
import { conflict, unknown } from './fleet-refusals.ts'
import { deploymentOf, updateRow } from './fleet-rows.ts'

/** What waits for the row of a deployment. */
type Wanted = { readonly claim: Claim } | { readonly end: Settlement }
type Answer = Claimed | boolean

/** The places of deployments: taken and given an end under the lock of their deployment, those who ask at once together. */
export function placesOf({ name, read, write }: SqlConnection): Pick<FleetStore, 'claim' | 'settle'> {
  const ask = batches<Wanted, Answer>((id, wanted) =>
    write(undefined, async (trx) => {
      // Locked first here and by whoever moves the deployment: claims and ends of one deployment go one by one.
      const one = deploymentRow(trx, id)
      const row = await (name === 'postgres' ? one.forUpdate('deployment') : one).executeTakeFirst()
      if (row === undefined) return wanted.map((each) => ('claim' in each ? { error: unknown(id) } : { answer: false }))
      const known = await claimants(trx, id, [...new Set(wanted.map(deviceOf))])
      const { outcomes, changed, counters } = judged(deploymentOf(row), known, wanted)
      if (changed.length > 0) {
        await stored(trx, changed)
        await trx.updateTable('deployment').set(counters).where('id', '=', id).execute()
      }
      return outcomes
    }),
  )

  return {
    async claim(claim, o) {
      const { deployment, device, deviceVersion } = claim
      const seen = (await read(o?.signal, (db) => claimants(db, deployment, [device]))).get(device)
      // What has ended stays so. A device that comes back with each check-in must not make all others wait for the lock.
      if (seen?.version === deviceVersion && seen.update !== undefined && hasEnded(seen.update)) return { is: 'ended', update: seen.update }
      return (await ask(deployment, { claim }, o?.signal)) as Claimed
    },
    settle: async (end, o) => (await ask(end.deployment, { end }, o?.signal)) as boolean,
  }
}

/** Judges one after the other as if each came alone. Pure. */
function judged(deployment: Deployment, known: ReadonlyMap<string, Claimant>, wanted: readonly Wanted[]) {
  const rows = new Map([...known].map(([device, { update }]) => [device, update]))
  const changed = new Map<string, FleetUpdate>()
  let { counters } = deployment
  const take = (update: FleetUpdate, from: FleetUpdate['state'] | undefined): void => {
    rows.set(update.device, update)
    changed.set(update.device, update)
    counters = movedCounters(counters, from, update.state)
  }
  const outcomes = wanted.map((each): Outcome<Answer> => {
    if ('end' in each) {
      const ended = judgeSettlement(rows.get(each.end.device), each.end)
      if (ended !== undefined) take(ended, 'offered')
      return { answer: ended !== undefined }
    }
    const { device, deviceVersion } = each.claim
    const version = known.get(device)?.version ?? null
    if (version !== deviceVersion) return { error: conflict(`device ${device}`, deviceVersion, version) }
    const { answer, from } = judgeClaim({ ...deployment, counters }, rows.get(device), each.claim)
    if (answer.is === 'taken') take(answer.update, from)
    return { answer }
  })
  return { outcomes, changed: [...changed.values()], counters }
}

async function stored(db: Db, updates: readonly FleetUpdate[]): Promise<void> {
  await db
    .insertInto('device_update')
    .values(updates.map(updateRow))
    .onConflict((oc) =>
      oc.columns(['deployment', 'device']).doUpdateSet((eb) => ({
        wave: eb.ref('excluded.wave'),
        state: eb.ref('excluded.state'),
        attempt: eb.ref('excluded.attempt'),
        attested: eb.ref('excluded.attested'),
        at: eb.ref('excluded.at'),
        because: eb.ref('excluded.because'),
      })),
    )
    .execute()
}

function deviceOf(wanted: Wanted): string {
  return 'claim' in wanted ? wanted.claim.device : wanted.end.device
}

function hasEnded({ state }: FleetUpdate): boolean {
  return state !== 'offered' && state !== 'withdrawn'
}
