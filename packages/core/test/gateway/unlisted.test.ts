import { createGateway, type Fault, OtaError, type ReflashOptions } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { world } from '../composition.ts'
import { at, d1, gatewayOf } from './pull.ts'

/** A registry whose list of tags ends in an error, while there is one. */
function listing(options: Partial<ReflashOptions> = {}) {
  const made = world(options)
  const state: { error: OtaError | undefined } = { error: undefined }
  const registry: ReflashOptions['registry'] = {
    ...made.registry,
    tags(...args) {
      if (state.error !== undefined) throw state.error
      return made.registry.tags?.(...args) as never
    },
  }
  return { ...made, state, composition: { ...made.composition, registry } }
}

const hostile: readonly (readonly [code: string, fault: Fault])[] = [
  ['UNSAFE_REDIRECT', 'rejected'],
  ['REGISTRY_DENIED', 'rejected'],
  ['REGISTRY_PROTOCOL', 'invalid'],
  ['TOO_MANY_TAGS', 'invalid'],
]

describe('a registry whose list of versions is of no use', () => {
  test.each(hostile)('is no fault of the device, which is told why and to come again: %s', async (code, fault) => {
    const { state, composition } = listing()
    state.error = new OtaError(code, fault, 'expected tags, found an attack')
    const answer = await gatewayOf(composition).checkIn(d1, at('1.0.0'))
    expect(answer).toEqual({ pollAfterMs: 60_000, because: [{ code, message: 'expected tags, found an attack' }] })
  })

  test.each(hostile)('shows in the health of the server, and as an event: %s', async (code, fault) => {
    const { state, composition, events } = listing()
    state.error = new OtaError(code, fault, 'expected tags, found an attack')
    const gateway = createGateway(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    expect((await gateway.health()).parts.registry).toMatchObject({ status: 'stale' })
    expect(events.filter(({ type }) => type === 'registry')).toMatchObject([{ status: 'stale', because: [{ code }] }])
  })

  test.each(hostile)('takes no open offer back after a restart: %s', async (code, fault) => {
    const { state, composition, release } = listing()
    release('1.1.0')
    await gatewayOf(composition).checkIn(d1, at('1.0.0'))
    state.error = new OtaError(code, fault, 'expected tags, found an attack')
    expect((await gatewayOf(composition).checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
  })

  test('is refused to a device where it is not there at all, or does not answer', async () => {
    const { state, composition, clock } = listing()
    for (const [code, fault] of [
      ['NOT_FOUND', 'invalid'],
      ['REGISTRY_UNAVAILABLE', 'unavailable'],
    ] as const) {
      state.error = new OtaError(code, fault, 'expected tags, found none')
      clock.advance(60_000)
      await expect(createGateway(composition).checkIn(d1, at('1.0.0'))).rejects.toMatchObject({ code })
    }
  })
})
