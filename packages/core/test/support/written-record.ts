import { createGateway, type Json } from '@reflash/core'
import { principal, world } from '../composition.ts'

/** A record with every part: history, attributes, and an open update that was reported of. */
export async function writtenRecord(): Promise<Json> {
  const { release, composition, clock } = world()
  release('1.1.0')
  const gateway = createGateway(composition)
  const device = principal('d1')
  const said = { model: 'board', installed: { version: '1.0.0', state: 'confirmed' as const } }
  await gateway.attributes(device, { slots: 2 }, 'merge')
  await gateway.checkIn(device, said)
  await gateway.report(device, 1, { state: 'failed', messages: ['worn out'] })
  clock.advance(1)
  await gateway.checkIn(device, said)
  await gateway.report(device, 2, { state: 'installed', messages: ['soon'] })
  const entry = await composition.journal.get('device/d1')
  if (entry === undefined) throw new Error('expected a record, found none')
  return entry.value
}
