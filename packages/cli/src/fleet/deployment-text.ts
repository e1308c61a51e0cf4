import type { Deployment } from '@reflash/core'

/** One deployment for people. */
export function deploymentText({ id, state, wave, waves, size, release, counters, because }: Deployment): string {
  const { offered, confirmed, failed, unobserved, skipped, withdrawn } = counters
  const taken = offered + confirmed + failed + unobserved + skipped + withdrawn
  const open = wave === 0 ? 'no wave yet' : `wave ${wave} of ${waves.length} (${waves[wave - 1]} %)`
  return [
    `${id}: ${state}, ${open}, brings ${release.version}`,
    `  devices    ${taken} of ${size}: ${confirmed} confirmed, ${failed} failed, ${offered} under way, ${unobserved} unobserved, ${skipped} had it, ${withdrawn} taken back`,
    ...because.map(({ code, message }) => `  - ${code}: ${message}`),
  ].join('\n')
}
