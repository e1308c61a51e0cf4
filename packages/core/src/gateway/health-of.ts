import type { Composition } from '../composition.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { Health } from '../plugin/gateway.ts'
import type { CallOptions } from '../plugin/plugin.ts'

/** How the parts of a composition do: registry and cache as they answered last, the journal as it answers now. */
export async function healthOf({ seen, journal, options: { fleet } }: Composition, { signal }: CallOptions): Promise<Health> {
  const told = (reason: readonly Reason[]): string => reason.map(({ code, message }) => `${code}: ${message}`).join('; ')
  const part = (last: (typeof seen)['cache'], down: 'stale' | 'down'): Health['parts'][string] =>
    last === undefined ? { status: 'unknown' } : last === 'ok' ? { status: 'ok' } : { status: down, reason: told(last.because) }
  const journalPart = await journal.get('health', signal === undefined ? undefined : { signal }).then(
    () => ({ status: 'ok' as const }),
    (error: unknown) => {
      if (isOtaError(error) && error.fault === 'aborted') throw error
      return { status: 'down' as const, reason: isOtaError(error) ? told(error.because) : 'the journal failed' }
    },
  )
  const signalled = signal === undefined ? {} : { signal }
  const fleetPart = await fleet?.revision(signalled).then(
    () => ({ status: 'ok' as const }),
    (error: unknown) => {
      if (isOtaError(error) && error.fault === 'aborted') throw error
      return { status: 'down' as const, reason: isOtaError(error) ? told(error.because) : 'the fleet store failed' }
    },
  )
  const parts = {
    registry: part(seen.registry, 'stale'),
    cache: part(seen.cache, 'down'),
    journal: journalPart,
    ...(fleetPart && { fleet: fleetPart }),
  }
  const bad = Object.values(parts).some(({ status }) => status === 'down' || status === 'stale')
  return { status: bad ? 'degraded' : 'ok', parts }
}
