import { recentlyUsed } from '../catalog/recently-used.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { DeviceState } from '../plugin/device.ts'
import { openDeploymentLimit } from '../plugin/fleet-rules.ts'
import type { Deployment, FleetDevice, FleetStore } from '../plugin/fleet-store.ts'
import { bucketOf } from './cohort.ts'

/** What one process knows of the fleet without asking each time; at once where it knows. */
export interface FleetView {
  /** The open deployments, the youngest first; at most `freshMs` old. */
  open(): readonly Deployment[] | Promise<readonly Deployment[]>
  /** A device as it is stored; registered, and its model and version noted, where they are new. */
  member(device: DeviceState, signal?: AbortSignal): FleetDevice | Promise<FleetDevice>
  /** Somebody else has changed the device. */
  forget(deviceId: string): void
}

/** Labels and progress that others change are seen within this. */
const freshMs = 1_000
/** Devices kept in memory, some three hundred bytes each. */
const keptDevices = 250_000
/** Writers of one device are its own requests, and somebody who gives it labels. */
const rounds = 8
/** What a database can store and a table can show; a device may call its version anything. */
const showable = /^[\x20-\x7e]{1,256}$/

export function createFleetView(fleet: FleetStore, clock: () => Date): FleetView {
  const devices = recentlyUsed<FleetDevice>(keptDevices)
  let known: { readonly revision: string; readonly open: readonly Deployment[] } | undefined
  let lookedAt = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  // A device that was read before labels changed must not be kept after.
  let epoch = 0

  async function look(): Promise<void> {
    const at = clock().getTime()
    // Read before what it stands for: what changes in between is seen at the next look.
    const revision = await fleet.revision()
    if (revision !== known?.revision) {
      const open = await fleet.deployments({ open: true, limit: openDeploymentLimit })
      known = { revision, open }
      epoch += 1
      devices.clear()
    }
    lookedAt = at
  }

  async function refreshed(): Promise<readonly Deployment[]> {
    looking ??= look().finally(() => {
      looking = undefined
    })
    await looking
    return (known as NonNullable<typeof known>).open
  }

  async function stored(id: string, signal: AbortSignal | undefined): Promise<FleetDevice | undefined> {
    const kept = devices.get(id)
    if (kept !== undefined) return kept
    const before = epoch
    const device = await fleet.device(id, signal === undefined ? undefined : { signal })
    if (device !== undefined && before === epoch) devices.set(id, device)
    return device
  }

  async function noted({ id, model: said, installed: runs }: DeviceState, signal: AbortSignal | undefined): Promise<FleetDevice> {
    for (let round = 1; ; round++) {
      const device = await stored(id, signal)
      const version = runs?.version
      const installed = version !== undefined && showable.test(version) ? version : device?.installed
      const model = said ?? device?.model
      if (device !== undefined && device.model === model && device.installed === installed) return device
      const next = {
        id,
        ...(model === undefined ? {} : { model }),
        ...(installed === undefined ? {} : { installed }),
        labels: device?.labels ?? {},
        bucket: device?.bucket ?? bucketOf(id),
      }
      try {
        const before = epoch
        const member = Object.freeze({ ...next, version: await fleet.putDevice(next, { ifVersion: device?.version ?? null }) })
        if (before === epoch) devices.set(id, member)
        return member
      } catch (error) {
        if (!isOtaError(error) || error.code !== 'FLEET_CONFLICT') throw error
        if (round === rounds) throw fail('FLEET_CONFLICT', `device ${id}: expected to note it within ${rounds} rounds`, { cause: error })
        devices.delete(id)
      }
    }
  }

  return {
    open() {
      const age = clock().getTime() - lookedAt
      return known !== undefined && age >= 0 && age < freshMs ? known.open : refreshed()
    },
    member(device, signal) {
      const kept = devices.get(device.id)
      return kept !== undefined && isNoted(kept, device) ? kept : noted(device, signal)
    },
    forget: devices.delete,
  }
}

/** Whether a device says nothing that is not stored of it. */
function isNoted({ model, installed }: FleetDevice, said: DeviceState): boolean {
  const version = said.installed?.version
  return (said.model === undefined || said.model === model) && (version === undefined || version === installed)
}
