import { throwIfAborted } from '../content/abort.ts'
import { fail } from '../core-errors.ts'
import {
  checkPage,
  fleetDeviceLimit,
  judgeClaim,
  judgeSettlement,
  leaseHolds,
  movedCounters,
  noCounters,
  openDeploymentLimit,
  positionOf,
  selects,
  shareOf,
} from '../plugin/fleet-rules.ts'
import type {
  AuditEntry,
  Deployment,
  FleetDevice,
  FleetRelease,
  FleetStore,
  FleetUpdate,
  Lease,
  UpdateState,
} from '../plugin/fleet-store.ts'
import { notStarted } from '../rollout/deployment.ts'
import { frozenCopy } from '../update/frozen-copy.ts'

/** Makes a fleet store that lives as long as the process. */
export function memoryFleet(): FleetStore {
  const devices = new Map<string, FleetDevice>()
  const releases = new Map<string, FleetRelease>()
  const deployments = new Map<string, Deployment>()
  const updates = new Map<string, Map<string, FleetUpdate>>()
  const leases = new Map<string, Lease & { readonly until: number }>()
  const entries: AuditEntry[] = []
  let revision = 0

  const record = (audit: AuditEntry): void => void entries.unshift(frozenCopy(audit))
  const known = (id: string): Deployment => {
    const deployment = deployments.get(id)
    if (deployment === undefined) throw fail('UNKNOWN_DEPLOYMENT', `expected a deployment ${JSON.stringify(id)}, found none`)
    return deployment
  }
  const rowsOf = (id: string): Map<string, FleetUpdate> => updates.get(id) ?? new Map()
  const isOpen = ({ state }: Deployment): boolean => state === 'running' || state === 'paused'

  function conflict(what: string, expected: string | null, found: string | null): Error {
    return fail('FLEET_CONFLICT', `${what}: expected version ${expected}, found ${found}; read it again`)
  }

  function count(id: string, from: UpdateState | undefined, to: UpdateState): void {
    const deployment = known(id)
    deployments.set(id, Object.freeze({ ...deployment, counters: Object.freeze(movedCounters(deployment.counters, from, to)) }))
  }

  function matching(selector: Parameters<typeof selects>[0]): readonly FleetDevice[] {
    return [...devices.values()].filter((device) => selects(selector, device))
  }

  return Object.freeze<FleetStore>({
    kind: 'fleet-store',
    name: 'memory',
    spec: 0,
    async revision(o) {
      throwIfAborted(o?.signal)
      return String(revision)
    },
    async device(id, o) {
      throwIfAborted(o?.signal)
      return devices.get(id)
    },
    async putDevice(device, { ifVersion, audit, signal }) {
      throwIfAborted(signal)
      const before = devices.get(device.id)
      if ((before?.version ?? null) !== ifVersion) throw conflict(`device ${device.id}`, ifVersion, before?.version ?? null)
      if (before === undefined && devices.size >= fleetDeviceLimit) throw fleetFull('devices', fleetDeviceLimit)
      const version = String(Number(before?.version ?? 0) + 1)
      const labels = audit === undefined ? (before?.labels ?? {}) : device.labels
      devices.set(device.id, frozenCopy({ ...device, labels, version }))
      if (audit !== undefined) {
        revision += 1
        record(audit)
      }
      return version
    },
    async devices({ selector = {}, after = '', limit }, o) {
      checkPage(limit)
      throwIfAborted(o?.signal)
      return matching(selector)
        .filter(({ id }) => id > after)
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, limit)
    },
    async cohort(selector, start, percent, o) {
      throwIfAborted(o?.signal)
      const positions = matching(selector).map(({ bucket }) => positionOf(bucket, start))
      const size = shareOf(positions.length, percent)
      return { members: positions.length, size, bound: positions.sort((a, b) => a - b)[size - 1] ?? -1 }
    },
    async awaited(id, { start, bound }, o) {
      throwIfAborted(o?.signal)
      const within = matching(known(id).selector).filter(({ bucket }) => positionOf(bucket, start) <= bound)
      const states = within.flatMap((device) => rowsOf(id).get(device.id)?.state ?? [])
      const withdrawn = states.filter((state) => state === 'withdrawn').length
      return { fresh: within.length - states.length, withdrawn, outside: rowsOf(id).size - states.length }
    },
    async createDeployment(intent, { audit, signal }) {
      throwIfAborted(signal)
      if (deployments.has(intent.id)) throw fail('FLEET_CONFLICT', `deployment ${intent.id}: expected a new id, found one that is taken`)
      if ([...deployments.values()].filter(isOpen).length >= openDeploymentLimit) throw fleetFull('open deployments', openDeploymentLimit)
      const { release } = intent
      const kept = releases.get(release.id) ?? frozenCopy(release)
      releases.set(release.id, kept)
      const made = frozenCopy({ ...intent, release: kept, ...notStarted, number: deployments.size + 1, counters: noCounters, version: '1' })
      deployments.set(intent.id, made)
      updates.set(intent.id, new Map())
      revision += 1
      record(audit)
      return made
    },
    async deployment(id, o) {
      throwIfAborted(o?.signal)
      return deployments.get(id)
    },
    async deployments({ open = false, limit }, o) {
      checkPage(limit)
      throwIfAborted(o?.signal)
      const all = [...deployments.values()].sort((a, b) => b.number - a.number)
      return (open ? all.filter(isOpen) : all).slice(0, limit)
    },
    async changeDeployment(id, progress, { ifVersion, fence, audit, signal }) {
      throwIfAborted(signal)
      const deployment = known(id)
      if (fence !== undefined && leases.get(fence.name)?.token !== fence.token) throw leaseLost(fence)
      if (deployment.version !== ifVersion) throw conflict(`deployment ${id}`, ifVersion, deployment.version)
      const { waveAt: _, ...rest } = deployment
      const version = String(Number(deployment.version) + 1)
      deployments.set(id, frozenCopy({ ...rest, ...progress, version }))
      revision += 1
      record(audit)
      return version
    },
    async releases({ after = '', limit }, o) {
      checkPage(limit)
      throwIfAborted(o?.signal)
      const found = [...releases.values()].filter(({ id }) => id > after)
      return found.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
    },
    async claim(claim, o) {
      throwIfAborted(o?.signal)
      const deployment = known(claim.deployment)
      const device = devices.get(claim.device)
      if (device?.version !== claim.deviceVersion) throw conflict(`device ${claim.device}`, claim.deviceVersion, device?.version ?? null)
      const rows = rowsOf(claim.deployment)
      const { answer, from } = judgeClaim(deployment, rows.get(claim.device), claim)
      if (answer.is !== 'taken') return answer
      const update = frozenCopy(answer.update)
      rows.set(claim.device, update)
      count(claim.deployment, from, claim.as)
      return { is: 'taken', update }
    },
    async settle(settlement, o) {
      throwIfAborted(o?.signal)
      const { deployment, device, state } = settlement
      const ended = judgeSettlement(rowsOf(deployment).get(device), settlement)
      if (ended === undefined) return false
      rowsOf(deployment).set(device, frozenCopy(ended))
      count(deployment, 'offered', state)
      return true
    },
    async update(deployment, device, o) {
      throwIfAborted(o?.signal)
      return rowsOf(deployment).get(device)
    },
    async updates({ deployment, state, after = '', limit }, o) {
      checkPage(limit)
      throwIfAborted(o?.signal)
      return [...rowsOf(deployment).values()]
        .filter((row) => row.device > after && (state === undefined || row.state === state))
        .sort((a, b) => (a.device < b.device ? -1 : 1))
        .slice(0, limit)
    },
    async recount(deployment, o) {
      throwIfAborted(o?.signal)
      const counted = { ...noCounters }
      for (const { state } of rowsOf(deployment).values()) counted[state] += 1
      return counted
    },
    async lease(name, holder, { now, until }, o) {
      throwIfAborted(o?.signal)
      const held = leases.get(name)
      if (held !== undefined && held.holder !== holder && leaseHolds(held.until, now.getTime())) return undefined
      const token = held === undefined ? 1 : held.holder === holder ? held.token : held.token + 1
      leases.set(name, { name, holder, token, until: until.getTime() })
      return { name, holder, token }
    },
    async audit({ subject, limit }, o) {
      checkPage(limit)
      throwIfAborted(o?.signal)
      return entries.filter((entry) => subject === undefined || entry.subject === subject).slice(0, limit)
    },
  })
}

function fleetFull(what: string, limit: number): Error {
  return fail('FLEET_FULL', `expected at most ${limit} ${what}, found as many`)
}

function leaseLost({ name, holder, token }: Lease): Error {
  return fail('LEASE_LOST', `lease ${name}: expected token ${token} of ${holder} to be the newest, found another`)
}
