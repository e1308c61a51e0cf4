import { type HttpServiceOptions, hawkbitDialect } from '@reflash/transport-http'
import { InvalidArgumentError } from 'commander'
import { fail } from '../cli-errors.ts'
import type { ServerConfig } from './server-config.ts'

const dialectNames = ['native', 'otaflux', 'hawkbit'] as const
export type DialectName = (typeof dialectNames)[number]

export interface DialectFlags {
  readonly dialect?: readonly DialectName[]
  readonly swupdate?: string
}

/** Collects `--dialect`, which may be given several times. */
export function dialectName(name: string, all: readonly DialectName[] = []): readonly DialectName[] {
  const known = dialectNames.find((each) => each === name)
  if (known === undefined) throw new InvalidArgumentError(`expected one of ${dialectNames.join(', ')}`)
  return all.includes(known) ? all : [...all, known]
}

/**
 * What is spoken: as the options say; hawkBit's API alone where devices have SWUpdate, which speaks nothing else; undefined where no option says.
 * @throws `USAGE` where devices would be believed to be ESP32s because a poll does not say their model
 */
export function dialectsOf({ dialect, swupdate }: DialectFlags, { targets }: ServerConfig): HttpServiceOptions['dialects'] {
  const names = dialect ?? (swupdate === undefined ? undefined : ['hawkbit'])
  if (names?.includes('hawkbit') === true && swupdate === undefined && targets === undefined) {
    throw fail(
      'USAGE',
      '--dialect hawkbit: expected --swupdate <model> beside it, or targets in --config: a poll does not say what a device is',
    )
  }
  return names?.map((name) => (name === 'hawkbit' && swupdate !== undefined ? hawkbitDialect({ model: swupdate }) : name))
}
