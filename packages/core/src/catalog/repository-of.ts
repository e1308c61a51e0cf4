import { fail } from '../core-errors.ts'
import type { Device } from '../plugin/device.ts'
import { quoted } from '../update/quoted.ts'

/** What a repository template may hold. */
export const placeholders = /\{(device|model)\}/g

/** The repository of a device: the template with `{device}` and `{model}` filled in. @throws `REPOSITORY_UNNAMEABLE` */
export function repositoryOf(template: string, { id, model }: Device): string {
  if (!template.includes('{')) return template
  return template.replace(placeholders, (_, name: string) => {
    const value = name === 'device' ? id : model
    // OCI distribution spec, pulling manifests: the grammar of one path component. A ":" or "@" would smuggle in a tag or digest.
    if (value !== undefined && value.length <= 128 && /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/.test(value)) return value
    throw fail(
      'REPOSITORY_UNNAMEABLE',
      `expected a {${name}} of lower case letters, digits and single . _ -, found ${value === undefined ? 'none' : quoted(value)}`,
    )
  })
}
