import { type CheckInAnswer, createGateway, type Gateway, type Journal, OtaError, type ReflashOptions } from '@reflash/core'
import { expect } from 'vitest'
import { principal } from '../composition.ts'

export const d1 = principal('d1')
export const at = (version: string, more: object = {}) => ({ model: 'board', installed: { version, state: 'confirmed' as const, ...more } })

/** A gateway each of whose answers says why. */
export function gatewayOf(options: ReflashOptions): Gateway {
  const gateway = createGateway(options)
  return {
    ...gateway,
    checkIn: async (...args) => {
      const answer: CheckInAnswer = await gateway.checkIn(...args)
      expect(answer.because.length).toBeGreaterThan(0)
      for (const { code, message } of answer.because) expect([code, message]).not.toContain('')
      return answer
    },
  }
}

/** A journal that lets a test act before its nth write, or count them. */
export function watchedJournal(journal: Journal, before: (key: string, write: number) => Promise<void> | void = () => {}) {
  let writes = 0
  const watched: Journal = {
    ...journal,
    put: async (key, ...rest) => {
      writes += 1
      await before(key, writes)
      return journal.put(key, ...rest)
    },
    delete: async (key, ...rest) => {
      writes += 1
      await before(key, writes)
      return journal.delete(key, ...rest)
    },
  }
  return { journal: watched, writes: () => writes }
}

export const crash = (): never => {
  throw new OtaError('JOURNAL_UNAVAILABLE', 'unavailable', 'expected the disk to answer, found that the power is gone')
}

/** What a journal holds of device d1. */
export async function recordIn(
  journal: Journal,
): Promise<{ readonly open: { readonly device: object; readonly digest: string; readonly heard: string }; readonly attributes?: object }> {
  const entry = await journal.get('device/d1')
  if (entry === undefined) throw new Error('expected a record of d1, found none')
  return entry.value as never
}
