import type { Fault } from '@reflash/core'

/** The exit code of each fault; 0 is success. Scripts rely on these. */
export const exitCodes = {
  internal: 1,
  invalid: 2,
  rejected: 3,
  unavailable: 4,
  unsupported: 5,
  aborted: 130,
} as const satisfies Record<Fault, number>

/** Ends `--help` of the program; README has the same table. */
export const exitCodeHelp = `Exit codes:
  0    done
  1    internal: a defect of reflash
  2    invalid: the command line or its input is wrong
  3    rejected: a signature, a digest or a policy says no; do not try again
  4    unavailable: a registry, a server or the network does not answer; try again
  5    unsupported: a power that this set-up lacks
  130  aborted by Ctrl-C`
