import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deviceRefusal, mayInstall } from '../../src/policy/may-install.ts'

const codes = (...args: Parameters<typeof mayInstall>): readonly string[] => mayInstall(...args).map(({ code }) => code)

describe('mayInstall', () => {
  test('lets through exactly what is newer and from where the release may be reached', () => {
    const number = fc.integer({ min: 0, max: 4 })
    fc.assert(
      fc.property(
        number,
        number,
        fc.option(number, { nil: undefined }),
        fc.constantFrom('pending', 'confirmed', undefined),
        (to, from, floor, state) => {
          const release = { version: `1.${to}.0`, ...(floor === undefined ? {} : { from: `>=1.${floor}.0` }) }
          const installed = { version: `1.${from}.0`, ...(state === undefined ? {} : { state }) }
          const allowed = to > from && (floor === undefined || from >= floor) && state !== 'pending'
          expect(mayInstall(release, installed).length === 0).toBe(allowed)
        },
      ),
    )
  })

  test('tells every reason at once, and says what was found', () => {
    expect(codes({ version: '1.0.0' }, { version: '2.0.0', state: 'pending' })).toEqual(['DOWNGRADE', 'PENDING_CONFIRMATION'])
    expect(codes({ version: '1.0.0' }, { version: '1.0.0+build' })).toEqual(['ALREADY_INSTALLED'])
    expect(codes({ version: '2.0.0', from: '^1.5.0' }, { version: '1.5.0-rc.1' })).toEqual(['FLOOR_NOT_REACHED'])
    expect(mayInstall({ version: '2.0.0' }, { version: 'x'.repeat(300) })[0]?.message.length).toBeLessThan(200)
  })

  test('lets anything go to a device that says nothing', () => {
    expect(mayInstall({ version: '1.0.0', from: '>=9.0.0' }, undefined)).toEqual([])
    expect(deviceRefusal(undefined)).toBeUndefined()
  })
})
