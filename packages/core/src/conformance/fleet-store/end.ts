import { strictEqual } from 'node:assert/strict'
import type { FleetDevice } from '../../plugin/fleet-store.ts'
import type { FleetStoreInstance, FleetStoreRule } from '../fleet-store-suite.ts'
import { closeRules } from '../plugin-rules.ts'
import { refused, refusesFired } from '../refusal.ts'
import { within } from '../within.ts'
import { at, audit, intent, opened, rule, tallies } from './fleet-rule.ts'

const anyFault = { fault: ['invalid', 'unavailable', 'aborted', 'unsupported'] } as const

/** Callers who leave, and the end of the store. */
export const fleetEndRules: readonly FleetStoreRule[] = [
  rule('abort-before', 'does nothing for a caller who has left', async ({ plugin }) => {
    const [device] = (await opened(plugin, 2, 1)) as [FleetDevice]
    await refusesFired('device', (signal) => plugin.device('d000', { signal }))
    await refusesFired('devices', (signal) => plugin.devices({ limit: 1 }, { signal }))
    await refusesFired('putDevice', (signal) => plugin.putDevice({ ...device, id: 'new' }, { ifVersion: null, signal }))
    await refusesFired('createDeployment', (signal) => plugin.createDeployment(intent('new'), { audit: audit(), signal }))
    await refusesFired('claim', (signal) =>
      plugin.claim({ deployment: 'roll', device: device.id, deviceVersion: device.version, as: 'offered', at }, { signal }),
    )
    strictEqual(await plugin.device('new'), undefined)
    strictEqual(await plugin.deployment('new'), undefined)
    strictEqual((await tallies(plugin)).offered, 0)
  }),
  ...closeRules<FleetStoreInstance, unknown>('fleet-store'),
  rule(
    'closed',
    'refuses every call after it was closed, and ends those that were before',
    async ({ plugin }, { stepMs }) => {
      const before = plugin.putDevice({ id: 'd', bucket: 1, labels: {} }, { ifVersion: null })
      await within(stepMs, 'putDevice before close()', before)
      await within(stepMs, 'close()', plugin.close?.())
      const calls = {
        revision: () => plugin.revision(),
        device: () => plugin.device('d'),
        devices: () => plugin.devices({ limit: 1 }),
        putDevice: () => plugin.putDevice({ id: 'e', bucket: 1, labels: {} }, { ifVersion: null }),
        deployments: () => plugin.deployments({ limit: 1 }),
      }
      for (const [name, call] of Object.entries(calls)) {
        await within(stepMs, `${name} after close()`, refused(`${name} after close()`, anyFault, call))
      }
    },
    { what: 'close()', has: ({ plugin }: FleetStoreInstance) => plugin.close !== undefined },
  ),
]
