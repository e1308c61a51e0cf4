import { type Platform, parsePlatform } from '@reflash/core'

/** What `<file>[@<platform>]` says. */
export interface FileArgument {
  readonly path: string
  readonly platform?: Platform
}

/**
 * Splits at the last @ where no file has the whole name and what follows is a platform: a file's name may itself hold an @, and a file
 * that exists is meant as it is written.
 */
export async function parseFileArgument(text: string, exists: (path: string) => Promise<boolean>): Promise<FileArgument> {
  const at = text.lastIndexOf('@')
  if (at <= 0 || (await exists(text))) return { path: text }
  const platform = platformIn(text.slice(at + 1))
  return platform === undefined ? { path: text } : { path: text.slice(0, at), platform }
}

function platformIn(text: string): Platform | undefined {
  try {
    return parsePlatform(text)
  } catch {
    return undefined
  }
}
