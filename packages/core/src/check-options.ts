import { catalogTimes } from './catalog/catalog-times.ts'
import { placeholders } from './catalog/repository-of.ts'
import type { ReflashOptions } from './composition.ts'
import { parseReference } from './content/reference.ts'
import { fail } from './core-errors.ts'
import { isOtaError } from './errors.ts'
import { historyLimit } from './journey/device-record.ts'
import { quoted } from './update/quoted.ts'

/** Problems in the message; `because` has them all. */
const problemsShown = 20

/** A day: longer than anything here should wait, and what a timer can still hold. */
const longestMs = 86_400_000

/**
 * Holds that what is composed belongs together.
 * @throws `INVALID_COMPOSITION` with everything that is wrong, one reason each
 */
export function checkOptions(options: ReflashOptions): void {
  const problems = [
    ...pluginProblems(options),
    ...repositoryProblems(options),
    ...policyProblems(options),
    ...numberProblems(options),
    ...otherProblems(options),
  ]
  if (problems.length === 0) return
  const shown = problems.slice(0, problemsShown).join('; ')
  const more = problems.length > problemsShown ? `; and ${problems.length - problemsShown} more` : ''
  throw fail('INVALID_COMPOSITION', `the composition cannot work: ${shown}${more}`, {
    because: problems.map((message) => ({ code: 'INVALID_COMPOSITION', message })),
  })
}

function pluginProblems(options: ReflashOptions): readonly string[] {
  const lists = [
    ['verifiers', 'signature-verifier', 'at least one signature verifier, or unsignedArtifacts()'],
    ['targets', 'target', 'at least one target'],
    ['authenticators', 'authenticator', 'at least one, or anonymousDevices()'],
    ['attestation', 'evidence-verifier', 'at least one evidence verifier, or unattestedDevices()'],
  ] as const
  const found = lists.flatMap(([name, kind, expected]) => {
    const list: unknown = options[name]
    if (!Array.isArray(list) || list.length === 0) return [`${name}: expected ${expected}, found none`]
    return list.flatMap((plugin, index) => wrongKind(plugin, `${name}[${index}]`, kind))
  })
  for (const kind of ['registry', 'journal', 'cache'] as const) found.push(...wrongKind(options[kind], kind, kind))
  if (options.versions !== undefined) found.push(...wrongKind(options.versions, 'versions', 'version-source'))
  if (options.fleet !== undefined) found.push(...wrongKind(options.fleet, 'fleet', 'fleet-store'))
  const transports: unknown = options.transports === undefined ? [] : options.transports
  if (Array.isArray(transports))
    found.push(...transports.flatMap((plugin, index) => wrongKind(plugin, `transports[${index}]`, 'transport')))
  else found.push(`transports: expected a list of transports, found ${quoted(transports)}`)
  const names = (Array.isArray(options.targets) ? options.targets : []).map((target) => target?.name)
  if (new Set(names).size !== names.length)
    found.push(`targets: expected different names, found ${names.map((name) => quoted(name)).join(', ')}`)
  return found
}

function wrongKind(plugin: unknown, where: string, kind: string): readonly string[] {
  const found = typeof plugin === 'object' && plugin !== null ? (plugin as { readonly kind?: unknown }).kind : undefined
  return found === kind ? [] : [`${where}: expected a plugin of kind ${kind}, found ${found === undefined ? 'none' : quoted(found)}`]
}

function repositoryProblems({ repository }: ReflashOptions): readonly string[] {
  if (typeof repository !== 'string') return ['repository: expected host[:port]/repository or oci:<dir>, found none']
  const filled = repository.replace(placeholders, 'x')
  if (/[{}]/.test(filled)) return [`repository: expected {device} and {model} as the only placeholders, found ${quoted(repository)}`]
  try {
    const { tag, digest } = parseReference(filled)
    if (tag === undefined && digest === undefined) return []
    return [
      `repository: expected host[:port]/repository or oci:<dir> without tag or digest (tags are versions), found ${quoted(repository)}`,
    ]
  } catch (error) {
    if (!isOtaError(error)) throw error
    return [`repository: ${error.message}`]
  }
}

function policyProblems({ policy = {}, attestation, targets }: ReflashOptions): readonly string[] {
  if (!isObject(policy)) return [`policy: expected an object, found ${quoted(policy)}`]
  const { attestation: demanded, channel, revision, attempts } = policy
  const problems: string[] = []
  if (demanded !== undefined && !['none', 'before', 'proven'].includes(demanded))
    problems.push(`policy.attestation: expected none, before or proven, found ${quoted(demanded)}`)
  if (channel !== undefined && !(typeof channel === 'string' && /^[0-9A-Za-z-]{1,64}$/.test(channel)))
    problems.push(`policy.channel: expected stable or the first word of a pre-release, found ${quoted(channel)}`)
  if (revision !== undefined && (typeof revision !== 'string' || revision.length > 128))
    problems.push('policy.revision: expected text of at most 128 characters')
  // The journal remembers so many ends of a device's updates: what is above could never be reached.
  if (attempts !== undefined && !(Number.isInteger(attempts) && attempts >= 1 && attempts <= historyLimit))
    problems.push(`policy.attempts: expected a whole number from 1 to ${historyLimit}, found ${quoted(attempts)}`)
  if (demanded !== 'before' && demanded !== 'proven') return problems
  if (Array.isArray(attestation) && attestation.every((verifier) => !(verifier?.mediaTypes?.length > 0)))
    problems.push(`policy.attestation: "${demanded}" needs an evidence verifier, found unattestedDevices()`)
  const silent = Array.isArray(targets) ? targets.filter((target) => target?.measure === undefined).map((target) => target?.name) : []
  if (demanded === 'proven' && silent.length > 0)
    problems.push(
      `policy.attestation: "proven" needs targets that measure, and ${silent.join(', ')} cannot: no update would ever be confirmed`,
    )
  return problems
}

function numberProblems({ times = {}, policy = {}, pollMs, imageLimitBytes }: ReflashOptions): readonly string[] {
  if (!isObject(times)) return [`times: expected an object, found ${quoted(times)}`]
  const unknown = Object.keys(times).find((name) => !Object.hasOwn(catalogTimes, name))
  if (unknown !== undefined) return [`times: expected some of ${Object.keys(catalogTimes).join(', ')}; found ${quoted(unknown)}`]
  const { bootGraceMs, confirmWithinMs } = isObject(policy) ? policy : {}
  const waits = Object.entries({
    ...prefixed('times', times),
    'policy.bootGraceMs': bootGraceMs,
    'policy.confirmWithinMs': confirmWithinMs,
    pollMs,
  })
  const problems = waits.flatMap(([name, value]) =>
    value === undefined || (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= longestMs)
      ? []
      : [`${name}: expected milliseconds from 0 to ${longestMs}, found ${quoted(value)}`],
  )
  if (imageLimitBytes !== undefined && !(Number.isSafeInteger(imageLimitBytes) && imageLimitBytes >= 1))
    problems.push(`imageLimitBytes: expected a number of bytes, found ${quoted(imageLimitBytes)}`)
  return problems
}

function otherProblems({ product, clock, random, onEvent }: ReflashOptions): readonly string[] {
  const functions = Object.entries({ clock, random, onEvent }).filter(([, value]) => value !== undefined && typeof value !== 'function')
  const problems = functions.map(([name, value]) => `${name}: expected a function, found ${quoted(value)}`)
  // What is no text could never be the signed product of a release: every one of them would be refused.
  if (product === undefined || (typeof product === 'string' && product !== '')) return problems
  return [...problems, `product: expected the name of a product, found ${quoted(product)}`]
}

/** What a configuration file says is not yet what the types say. */
function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function prefixed(name: string, fields: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [`${name}.${key}`, value]))
}
