import { annotations } from '../content/media-types.ts'
import { formatPlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import type { Reason } from '../errors.ts'
import type { Check, RunContext } from '../plugin/plugin.ts'
import { pluginState } from '../plugin/plugin-state.ts'
import type { SignatureVerifier, VerificationResult } from '../plugin/signature-verifier.ts'
import { isRange } from '../policy/version.ts'
import { hold } from './held-content.ts'
import { demand, prove } from './proof.ts'
import type { ReleaseDeps, Resolved, Verified } from './release-line.ts'

/**
 * Runs every signature verifier over a pinned subject; all must pass. What the release is (version, product, platform, floor) is then
 * read from annotations of bytes that a passing verifier covers, and from nowhere else.
 * @throws `SIGNATURE_REFUSED` (rejected), `SIGNATURE_INCONCLUSIVE` (unavailable), `VERSION_NOT_SIGNED`, `VERSION_MISMATCH`,
 * `WRONG_PRODUCT`, `WRONG_PLATFORM` (rejected)
 */
export async function verify(resolved: Resolved, deps: ReleaseDeps, context: RunContext): Promise<Verified> {
  demand('resolve', resolved)
  const results: VerificationResult[] = []
  for (const verifier of deps.verifiers) results.push(await runVerifier(verifier, resolved, deps, context))
  if (results.length === 0) throw fail('SIGNATURE_REFUSED', 'expected at least one signature verifier, found none', { stage: 'verify' })
  const signed = signedAnnotations(resolved, results)
  const state = pluginState(deps.journal, deps.versions)
  const version = await deps.versions.version(
    {
      repository: resolved.repository,
      root: resolved.root.digest,
      ...(resolved.tag === undefined ? {} : { tag: resolved.tag }),
      ...(signed.version === undefined ? {} : { signed: signed.version }),
    },
    { ...context, state },
  )
  checkProduct(resolved, signed.product, deps.product)
  checkPlatform(resolved, signed.platform)
  if (signed.from !== undefined && !isRange(signed.from)) {
    throw fail(
      'INVALID_FLOOR',
      `${resolved.reference}: expected ${annotations.from} to be a semver range, found ${JSON.stringify(signed.from.slice(0, 100))}`,
      {
        stage: 'verify',
      },
    )
  }
  return prove('verify', {
    resolved,
    results,
    version,
    ...(signed.product === undefined ? {} : { product: signed.product }),
    ...(signed.from === undefined ? {} : { from: signed.from }),
  })
}

async function runVerifier(
  verifier: SignatureVerifier,
  resolved: Resolved,
  deps: ReleaseDeps,
  context: RunContext,
): Promise<VerificationResult> {
  const { repository, reference, root, manifest } = resolved
  const { registry, journal } = deps
  const from = {
    resolve: registry.resolve,
    // What a verifier reads is held too: verification must be possible again while the registry is down.
    fetch: async (...[name, descriptor]: Parameters<typeof registry.fetch>) => (await hold(name, descriptor, deps, context)).open(),
    ...(registry.referrers === undefined ? {} : { referrers: registry.referrers }),
  }
  const result = await verifier.verify(
    { repository, reference, root, manifest },
    { ...context, from, state: pluginState(journal, verifier) },
  )
  const reasons = (status: Check['status']): readonly Reason[] =>
    result.checks
      .filter((check) => check.status === status)
      .map((check) => ({ code: check.name, message: `${verifier.name}: ${check.reason ?? check.name}` }))
  const failed = reasons('failed')
  if (failed.length > 0 || result.checks.length === 0) {
    const because = failed.length > 0 ? failed : [{ code: 'SIGNATURE_REFUSED', message: `${verifier.name} made no check` }]
    throw fail('SIGNATURE_REFUSED', `${reference}: ${because.map(({ message }) => message).join('; ')}`, { stage: 'verify', because })
  }
  const inconclusive = reasons('inconclusive')
  if (inconclusive.length > 0) {
    throw fail('SIGNATURE_INCONCLUSIVE', `${reference}: ${inconclusive.map(({ message }) => message).join('; ')}`, {
      stage: 'verify',
      because: inconclusive,
    })
  }
  return result
}

interface SignedAnnotations {
  readonly version?: string
  readonly product?: string
  readonly platform?: string
  readonly from?: string
}

// A signed root covers its child, whose digest it holds. A signed manifest does not cover the index that lists it.
function signedAnnotations(resolved: Resolved, results: readonly VerificationResult[]): SignedAnnotations {
  const rootCovered = results.some(({ covers }) => covers === 'root') || resolved.root.digest === resolved.manifest.digest
  const sources = rootCovered ? [resolved.manifestAnnotations, resolved.rootAnnotations] : [resolved.manifestAnnotations]
  const read = (key: string): string | undefined => {
    const values = [...new Set(sources.map((source) => source[key]).filter((value) => value !== undefined))]
    if (values.length > 1) {
      const code = key === annotations.product ? 'WRONG_PRODUCT' : 'VERSION_MISMATCH'
      throw fail(code, `${resolved.reference}: expected one ${key}, found ${values.map((value) => JSON.stringify(value)).join(' and ')}`, {
        stage: 'verify',
      })
    }
    return values[0]
  }
  const [version, product, from] = [read(annotations.version), read(annotations.product), read(annotations.from)]
  const platform = resolved.manifestAnnotations[annotations.platform]
  return {
    ...(version === undefined ? {} : { version }),
    ...(product === undefined ? {} : { product }),
    ...(platform === undefined ? {} : { platform }),
    ...(from === undefined ? {} : { from }),
  }
}

function checkProduct({ reference }: Resolved, found: string | undefined, expected: string | undefined): void {
  if (expected === undefined || found === expected) return
  const shown = found === undefined ? 'none' : JSON.stringify(found)
  throw fail('WRONG_PRODUCT', `${reference}: expected the signed product ${JSON.stringify(expected)}, found ${shown}`, {
    stage: 'verify',
    details: { expected, found: found ?? null },
  })
}

// An unsigned index may point any platform at any signed manifest: the manifest's own word decides.
function checkPlatform({ reference, platform }: Resolved, signed: string | undefined): void {
  if (platform === undefined || signed === undefined || formatPlatform(platform) === signed) return
  throw fail(
    'WRONG_PLATFORM',
    `${reference}: the index offers this manifest for ${formatPlatform(platform)}, but its signed platform is ${JSON.stringify(signed)}`,
    {
      stage: 'verify',
    },
  )
}
