import { fail } from '../core-errors.ts'
import type { Platform } from './descriptor.ts'

/** `os/architecture[/variant]`, as `docker --platform` writes it. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === undefined ? '' : `/${variant}`}`
}

const part = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Reads `os/architecture[/variant]`; a word alone is a microcontroller: `esp32s3` is `custom/esp32s3`.
 * @throws `INVALID_PLATFORM`
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [os, architecture, variant] = parts.length === 1 ? ['custom', parts[0]] : parts
  if (parts.length > 3 || ![os, architecture, variant ?? 'v'].every((word) => part.test(word ?? ''))) {
    throw fail(
      'INVALID_PLATFORM',
      `expected os/architecture[/variant] or a chip such as esp32s3, found ${JSON.stringify(text.slice(0, 200))}`,
    )
  }
  return { os: os as string, architecture: architecture as string, ...(variant === undefined ? {} : { variant }) }
}

/** Whether two platforms are the same in os, architecture and variant. */
export function samePlatform(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture && (a.variant ?? '') === (b.variant ?? '')
}
