import type { ClosedUpdate, DeviceRecord, UpdateDeployment } from '../journey/device-record.ts'
import type { Settlement } from '../plugin/fleet-store.ts'

type Ended = Pick<Settlement, 'state' | 'attested' | 'at' | 'because'>

/** What the end of an update is to the deployment that it was part of. Where that demands proof, a confirmation without evidence is none. Pure. */
export function settlementOf({ outcome, at, because, attested }: ClosedUpdate, { proof }: UpdateDeployment): Ended {
  const end = { at, because, attested: attested === true }
  if (outcome === 'superseded') return { ...end, state: 'withdrawn' }
  if (outcome !== 'confirmed' || !proof || attested === true) return { ...end, state: outcome }
  const message = 'it was confirmed without evidence, which this deployment demands'
  return { ...end, state: 'unobserved', because: [{ code: 'UNPROVEN', message }] }
}

/** The ends that a device's record knows of, as a fleet store takes them; the newest first. */
export function settlementsOf(deviceId: string, { history }: Pick<DeviceRecord, 'history'>): readonly Settlement[] {
  return history.flatMap((entry) =>
    entry.deployment === undefined
      ? []
      : [
          {
            deployment: entry.deployment.id,
            device: deviceId,
            attempt: entry.deployment.attempt,
            ...settlementOf(entry, entry.deployment),
          },
        ],
  )
}
