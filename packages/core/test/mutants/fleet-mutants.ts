import { coreError, type Deployment, type FleetStore } from '@reflash/core'
import { type FleetStoreSuiteOptions, fleetStoreRules } from '@reflash/core/conformance'
import { memoryFleet } from '@reflash/core/testing'
import { closing } from '../support/closing.ts'
import { type Mutant, type MutantTable, mutantsOf, turn } from './mutant.ts'

/** A fleet store with every power: it outlives its plugin, and two plugins may share it. */
export const rightFleet: FleetStoreSuiteOptions = {
  make: async () => {
    const fleet = memoryFleet()
    const plugin = closing(fleet)
    const again = async () => {
      await plugin.close?.()
      return closing(fleet)
    }
    return { plugin, again, second: async () => closing(fleet), dispose: async () => {} }
  },
  factory: memoryFleet,
  options: {},
}

const { plugin, instance, common } = mutantsOf(fleetStoreRules, rightFleet)
const by = { at: '2030-01-01T00:00:00.000Z', by: 'mutant', action: 'cheat', subject: 'roll', because: [] }

const devices: readonly Mutant[] = [
  plugin('device-kept', 'forgets the model', ({ device }) => ({
    device: async (id, o) => {
      const found = await device(id, o)
      if (found === undefined) return undefined
      const { model: _, ...rest } = found
      return rest
    },
  })),
  plugin('device-conflict', 'puts over any version', ({ device, putDevice }) => ({
    putDevice: async (put, o) => putDevice(put, { ...o, ifVersion: (await device(put.id))?.version ?? null }),
  })),
  plugin('device-conflict', 'keeps the model that it saw first', ({ device, putDevice }) => ({
    putDevice: async (put, o) => {
      const model = (await device(put.id))?.model
      return putDevice(model === undefined ? put : { ...put, model }, o)
    },
  })),
  plugin('labels-by-audit', 'takes labels from anybody', ({ putDevice }) => ({
    putDevice: (put, o) => putDevice(put, { audit: by, ...o }),
  })),
  plugin('device-page', 'sorts as a dictionary does', ({ devices: list }) => ({
    devices: async (query, o) => (await list(query, o)).toSorted((a, b) => a.id.localeCompare(b.id)),
  })),
  plugin('page-limit', 'cuts what is asked for to what it can give', ({ devices: list }) => ({
    devices: (query, o) => list({ ...query, limit: Math.min(1000, Math.max(1, Math.trunc(query.limit) || 1)) }, o),
  })),
  plugin('cohort', 'takes the bound for the first position behind it', ({ cohort }) => ({
    cohort: async (...args) => {
      const found = await cohort(...args)
      return { ...found, bound: found.bound + 1 }
    },
  })),
  plugin('revision', 'never has another revision', () => ({ revision: async () => '1' })),
]

const shown = (deployment: Deployment): Deployment => ({ ...deployment, version: `${deployment.version}.${deployment.counters.offered}` })

const deployments: readonly Mutant[] = [
  plugin('deployment-kept', 'forgets that proof was demanded', ({ deployment }) => ({
    deployment: async (id, o) => {
      const found = await deployment(id, o)
      return found && { ...found, proof: false }
    },
  })),
  plugin('deployment-taken', 'takes a second creation for a question', ({ createDeployment, deployment }) => ({
    createDeployment: async (intent, o) => (await deployment(intent.id)) ?? createDeployment(intent, o),
  })),
  plugin('deployment-conflict', 'moves over any version', ({ changeDeployment, deployment }) => ({
    changeDeployment: async (id, next, o) => changeDeployment(id, next, { ...o, ifVersion: (await deployment(id))?.version ?? '' }),
  })),
  plugin('deployment-moved', 'keeps the time of a wave where a move names none', ({ changeDeployment, deployment }) => ({
    changeDeployment: async (id, next, o) => {
      const waveAt = next.waveAt ?? (await deployment(id))?.waveAt
      return changeDeployment(id, waveAt === undefined ? next : { ...next, waveAt }, o)
    },
  })),
  plugin('deployment-moved', 'forgets what was forgiven', ({ changeDeployment }) => ({
    changeDeployment: (id, next, o) => changeDeployment(id, { ...next, forgiven: 0 }, o),
  })),
  plugin('deployment-unknown', 'takes a deployment that is not there for one that was changed', ({ changeDeployment, deployment }) => ({
    changeDeployment: async (id, next, o) => {
      if ((await deployment(id)) === undefined) throw coreError('FLEET_CONFLICT', 'expected version 1, found none')
      return changeDeployment(id, next, o)
    },
  })),
  plugin('deployments-young', 'lists the oldest first', ({ deployments: list }) => ({
    deployments: async (query, o) => (await list(query, o)).toReversed(),
  })),
  plugin('deployment-revision', 'has another revision for labels only', ({ putDevice }) => {
    let labelled = 0
    return {
      revision: async () => String(labelled),
      putDevice: async (device, o) => {
        const version = await putDevice(device, o)
        if (o.audit !== undefined) labelled += 1
        return version
      },
    }
  }),
  plugin('counters-apart', 'has a new version of the deployment for each offer', (right) => ({
    createDeployment: async (...args) => shown(await right.createDeployment(...args)),
    deployment: async (...args) => {
      const found = await right.deployment(...args)
      return found && shown(found)
    },
    deployments: async (...args) => (await right.deployments(...args)).map(shown),
    changeDeployment: async (id, next, o) => {
      await right.changeDeployment(id, next, { ...o, ifVersion: o.ifVersion.split('.')[0] ?? '' })
      return shown((await right.deployment(id)) as Deployment).version
    },
  })),
  plugin('releases', 'names a release anew with each deployment', ({ createDeployment }) => ({
    createDeployment: async (intent, o) => ({ ...(await createDeployment(intent, o)), release: intent.release }),
  })),
  plugin('releases', 'begins each page with the first release', ({ releases }) => ({ releases: ({ limit }, o) => releases({ limit }, o) })),
  plugin('audit', 'tells everything of everybody', ({ audit }) => ({ audit: ({ limit }, o) => audit({ limit }, o) })),
  plugin('audit', 'forgets who it was', ({ audit }) => ({
    audit: async (...args) => (await audit(...args)).map((entry) => ({ ...entry, by: 'somebody' })),
  })),
]

/** Changes a deployment for the length of one claim. */
async function bent(right: FleetStore, change: Partial<Deployment>, claim: Parameters<FleetStore['claim']>[0]) {
  const before = (await right.deployment(claim.deployment)) as Deployment
  await right.changeDeployment(before.id, { ...before, ...change }, { ifVersion: before.version, audit: by })
  const answer = await right.claim(claim)
  const { version } = (await right.deployment(claim.deployment)) as Deployment
  await right.changeDeployment(before.id, before, { ifVersion: version, audit: by })
  return answer
}

const claims: readonly Mutant[] = [
  plugin('claim', 'says each time that a place was taken', ({ claim }) => ({
    claim: async (...args) => {
      const answer = await claim(...args)
      return answer.is === 'standing' ? { ...answer, is: 'taken' } : answer
    },
  })),
  plugin('claim', 'tells when it was asked last', ({ claim }) => ({
    claim: async (asked, o) => {
      const answer = await claim(asked, o)
      return answer.is === 'standing' ? { ...answer, update: { ...answer.update, at: asked.at } } : answer
    },
  })),
  plugin('claim-full', 'finds one more place in a full wave', (right) => ({
    claim: async (claim, o) => {
      const answer = await right.claim(claim, o)
      return answer.is === 'full' ? bent(right, { size: 1000 }, claim) : answer
    },
  })),
  plugin('claim-not-running', 'gives places while it is paused', (right) => ({
    claim: async (claim, o) => {
      const answer = await right.claim(claim, o)
      return answer.is === 'not-running' ? bent(right, { state: 'running' }, claim) : answer
    },
  })),
  plugin('claim-device-version', 'does not look at the version of the device', ({ claim, device }) => ({
    claim: async (asked, o) => claim({ ...asked, deviceVersion: (await device(asked.device))?.version ?? '' }, o),
  })),
  plugin('settle', 'says of every end that it counts', ({ settle }) => ({
    settle: async (...args) => {
      await settle(...args)
      return true
    },
  })),
  plugin('settle', 'forgets when it ended', ({ settle, update }) => ({
    settle: async (end, o) => settle({ ...end, at: (await update(end.deployment, end.device))?.at ?? end.at }, o),
  })),
  plugin('withdrawn', 'takes an offer that was taken back for an end', ({ claim, update }) => ({
    claim: async (asked, o) => {
      const row = await update(asked.deployment, asked.device)
      return row?.state === 'withdrawn' ? { is: 'ended', update: row } : claim(asked, o)
    },
  })),
  plugin('settle-attempt', 'does not look at the attempt', ({ settle, update }) => ({
    settle: async (end, o) => settle({ ...end, attempt: (await update(end.deployment, end.device))?.attempt ?? 0 }, o),
  })),
  plugin('claim-failing', 'gives places until somebody has paused what fails', (right) => ({
    claim: async (claim, o) => {
      const answer = await right.claim(claim, o)
      return answer.is === 'failing' ? bent(right, { forgiven: 1000 }, claim) : answer
    },
  })),
  plugin('settle-attempt', 'shows each update as its first attempt', ({ update }) => ({
    update: async (...args) => {
      const found = await update(...args)
      return found && { ...found, attempt: 1 }
    },
  })),
  plugin('skipped', 'offers to a device what it was skipped for', ({ claim }) => ({
    claim: async (asked, o) => {
      const answer = await claim(asked, o)
      const isSkipped = answer.is === 'ended' && answer.update.state === 'skipped' && asked.as === 'offered'
      return isSkipped ? { is: 'taken', update: answer.update } : answer
    },
  })),
  plugin('awaited', 'waits for devices that have left the selector', (right) => ({
    awaited: async (id, reach, o) => {
      const found = await right.awaited(id, reach, o)
      const rows = await right.updates({ deployment: id, state: 'withdrawn', limit: 1000 })
      return { ...found, withdrawn: rows.length }
    },
  })),
  plugin('updates-page', 'begins each page with the first row', ({ updates }) => ({
    updates: ({ after: _, ...query }, o) => updates(query, o),
  })),
]

const leases: readonly Mutant[] = [
  plugin('lease', 'gives a lease to whoever asks', ({ lease }) => ({
    lease: async (name, holder, ...rest) => (await lease(name, holder, ...rest)) ?? { name, holder, token: 999 },
  })),
  plugin('lease-ahead', 'waits for the end of a lease, however far it is ahead', ({ lease }) => {
    const ends = new Map<string, number>()
    return {
      lease: async (name, holder, times, o) => {
        const end = ends.get(name)
        if (end !== undefined && end > times.now.getTime() + 3_600_000) return undefined
        ends.set(name, times.until.getTime())
        return lease(name, holder, times, o)
      },
    }
  }),
  plugin('lease-token', 'gives everybody the same token', ({ lease }) => ({
    lease: async (...args) => {
      const held = await lease(...args)
      return held && { ...held, token: 1 }
    },
  })),
  plugin('fence', 'does not look at the fence', ({ changeDeployment }) => ({
    changeDeployment: (id, next, { fence: _, ...o }) => changeDeployment(id, next, o),
  })),
]

const writers: readonly Mutant[] = [
  plugin('one-winner', 'compares the version and writes a moment later', ({ device, putDevice }) => ({
    putDevice: async (put, o) => {
      if (((await device(put.id))?.version ?? null) !== o.ifVersion) return putDevice(put, o)
      await turn()
      return putDevice(put, { ...o, ifVersion: (await device(put.id))?.version ?? null })
    },
  })),
  plugin('one-place', 'looks for a place and takes it a moment later', ({ claim, update }) => ({
    claim: async (asked, o) => {
      const before = await update(asked.deployment, asked.device)
      await turn()
      const answer = await claim(asked, o)
      return before === undefined && answer.is === 'standing' ? { is: 'taken', update: answer.update } : answer
    },
  })),
  plugin('never-above', 'counts its places before a crowd takes them', (right) => {
    let running = 0
    return {
      claim: async (asked, o) => {
        running += 1
        try {
          const answer = await right.claim(asked, o)
          return answer.is === 'full' && running > 10 ? await bent(right, { size: 1000 }, asked) : answer
        } finally {
          running -= 1
        }
      },
    }
  }),
  plugin('one-lease', 'looks who holds a lease and takes it a moment later', ({ lease }) => {
    let running = 0
    return {
      lease: async (name, holder, ...rest) => {
        running += 1
        const isCrowd = running > 1
        const held = await lease(name, holder, ...rest)
        running -= 1
        return held ?? (isCrowd ? { name, holder, token: 1 } : undefined)
      },
    }
  }),
  plugin('crossing', 'writes back with a move the counters that it read before', ({ claim, changeDeployment, deployment }) => {
    let claiming = 0
    let lost = 0
    return {
      claim: async (...args) => {
        claiming += 1
        try {
          return await claim(...args)
        } finally {
          claiming -= 1
        }
      },
      changeDeployment: async (...args) => {
        if (claiming > 0) lost += 1
        return changeDeployment(...args)
      },
      deployment: async (...args) => drifted(await deployment(...args), lost),
    }
  }),
  instance('two-never-above', 'has a fleet of its own in each process', (made) => ({
    ...made,
    second: async () => closing(memoryFleet()),
  })),
  instance('two-crossing', 'counts an end twice that two processes hear of', (made) => {
    let twice = 0
    const { deployment } = made.plugin
    return {
      ...made,
      plugin: Object.freeze({ ...made.plugin, deployment: async (...args) => drifted(await deployment(...args), twice) } as FleetStore),
      second: async () => {
        const other = (await made.second?.()) as FleetStore
        return Object.freeze<FleetStore>({
          ...other,
          settle: async (...args) => {
            const isCounted = await other.settle(...args)
            if (!isCounted) twice += 1
            return isCounted
          },
        })
      },
    }
  }),
  instance('two-see', 'keeps its first revision for ever where another process changes it', (made) => ({
    ...made,
    second: async () => {
      const other = (await made.second?.()) as FleetStore
      const revision = await other.revision()
      return Object.freeze<FleetStore>({ ...other, revision: async () => revision })
    },
  })),
  instance('durable', 'forgets its leases with its process', (made) => ({
    ...made,
    again: async () => Object.freeze<FleetStore>({ ...((await made.again?.()) as FleetStore), lease: memoryFleet().lease }),
  })),
]

function drifted(deployment: Deployment | undefined, by: number): Deployment | undefined {
  if (deployment === undefined) return undefined
  return { ...deployment, counters: { ...deployment.counters, failed: deployment.counters.failed + by } }
}

const ends: readonly Mutant[] = [
  plugin('abort-before', 'reads for a caller who has left', ({ device }) => ({ device: (id) => device(id) })),
  plugin('closed', 'goes on after its end', () => ({ close: async () => {} })),
]

/** Every mutant of the suite of a fleet store. */
export const fleetMutants: MutantTable = {
  suite: fleetStoreRules.kind,
  rules: fleetStoreRules.rules.map(({ id }) => id),
  mutants: [...common('revision'), ...devices, ...deployments, ...claims, ...leases, ...writers, ...ends],
  unbroken: {},
}
