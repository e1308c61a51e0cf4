import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type FleetStore, type Journal, placesTaken } from '@reflash/core'
import { demoImage } from '@reflash/target-esp32/testing'
import { type ManagementClient, managementClient } from '@reflash/transport-http/client'
import { expect, onTestFinished } from 'vitest'
import { type Started, sayReflash, startReflash } from '../testing/run-reflash.ts'

const token = 'operator-token'

/** The image of a version, small: a fleet of thousands keeps two of them each. */
export const imageOf = (version: string): Uint8Array => demoImage({ chip: 'esp32c3', version, sizeBytes: 8192, projectName: 'lamp' })

/** What a scene shows, for docs/soak.md. */
export type FleetFacts = Readonly<Record<string, number | string>>

export interface FleetServer extends Started {
  readonly url: string
  readonly client: ManagementClient
  readonly managementUrl: string
}

/** Pushes releases 1.0.0 and 1.1.0 into a folder, and writes the tokens of operators. */
export async function releases(folder: string): Promise<void> {
  writeFileSync(join(folder, 'operators'), `ann ${token}\n`, { mode: 0o600 })
  for (const version of ['1.0.0', '1.1.0']) {
    const file = join(folder, `${version}.bin`)
    writeFileSync(file, imageOf(version))
    expect(await sayReflash(['push', `oci:${join(folder, 'rel')}:${version}`, file])).toMatchObject({ exitCode: 0 })
  }
}

/** Starts `reflash serve` with deployments, as a process of its own. */
export async function serveFleet(folder: string, name: string, ...more: readonly string[]): Promise<FleetServer> {
  const started = startReflash([
    ...['serve', '--repository', `oci:${join(folder, 'rel')}`, '--allow-unsigned', '--allow-anonymous', '--listen', '127.0.0.1:0'],
    ...['--state', join(folder, name), '--rollout', '--management', '127.0.0.1:0', '--management-tokens', join(folder, 'operators')],
    ...['--log-level', 'warn', ...more],
  ])
  const text = await started.seen(/operators\s+http:\S+/)
  const url = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(text)?.[1] as string
  const managementUrl = /operators\s+(http:\/\/127\.0\.0\.1:\d+)/.exec(text)?.[1] as string
  const client = managementClient({ server: managementUrl, token })
  onTestFinished(() => client.close())
  return { ...started, url, managementUrl, client }
}

/** Looks every so often until it is true. */
export async function until(what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`expected within ${limitMs} ms that ${what}`)
    await pause(50)
  }
}

/** Holds what must hold of a deployment at the end: counters are those of a recount and of the devices' own records, nobody was offered twice. */
export async function holds(fleet: FleetStore, journal: Journal, id: string): Promise<void> {
  const deployment = await fleet.deployment(id)
  if (deployment === undefined) throw new Error(`expected deployment ${id}`)
  expect(await fleet.recount(id)).toEqual(deployment.counters)
  expect(placesTaken(deployment.counters)).toBeLessThanOrEqual(deployment.size)
  let after = ''
  for (;;) {
    const page = await fleet.updates({ deployment: id, limit: 1000, ...(after === '' ? {} : { after }) })
    for (const { device, state } of page) {
      const record = (await journal.get(`device/${device}`))?.value as
        | { seq: number; open?: object; history: { outcome: string; deployment?: { id: string } }[] }
        | undefined
      const journeys = (record?.history ?? []).filter((entry) => entry.deployment?.id === id)
      expect(journeys.length + (record?.open === undefined ? 0 : 1), device).toBeLessThanOrEqual(1)
      if (state === 'confirmed' || state === 'failed') expect(journeys[0]?.outcome, device).toBe(state)
    }
    if (page.length < 1000) return
    after = page.at(-1)?.device ?? ''
  }
}
