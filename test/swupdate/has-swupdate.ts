import { execFileSync } from 'node:child_process'

/** Whether Debian's swupdate is installed; says so where it is not, and fails in CI. */
export function hasSwupdate(): boolean {
  try {
    execFileSync('swupdate', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    if (process.env.CI !== undefined) throw new Error('swupdate is missing: apt-get install swupdate')
    console.warn('skipped: swupdate is missing; apt-get install swupdate')
    return false
  }
}
