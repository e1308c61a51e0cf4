import { formatPlatform, samePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { pluginState } from '../plugin/plugin-state.ts'
import type { VerificationResult } from '../plugin/signature-verifier.ts'
import { parseVersion } from '../policy/version.ts'
import { frozenCopy } from './frozen-copy.ts'
import { demand, prove } from './proof.ts'
import { quoted } from './quoted.ts'
import type { ReleaseDeps, Resolved, Verified } from './release-line.ts'
import { runVerifier } from './run-verifier.ts'
import { type SignedClaims, signedClaims } from './signed-claims.ts'

/**
 * Runs every signature verifier over a pinned subject; all must pass. What the release is (version, product, platform, floor) is then
 * read from annotations of bytes that a passing verifier covers, and from nowhere else.
 * @throws `SIGNATURE_REFUSED` (rejected), `SIGNATURE_INCONCLUSIVE` (unavailable), `VERSION_NOT_SIGNED`, `VERSION_MISMATCH`,
 * `WRONG_PRODUCT`, `WRONG_PLATFORM` (rejected), `INVALID_FLOOR` (invalid), `BROKEN_PLUGIN`, `FORGED_PROOF` (internal), and what the
 * verifiers throw
 */
export async function verify(resolved: Resolved, deps: ReleaseDeps, context: RunContext): Promise<Verified> {
  demand('resolve', resolved)
  const results: VerificationResult[] = []
  for (const verifier of deps.verifiers) results.push(frozenCopy(await runVerifier(verifier, resolved, deps, context)))
  if (results.length === 0) throw fail('SIGNATURE_REFUSED', 'expected at least one signature verifier, found none', { stage: 'verify' })
  const claims = signedClaims(resolved, results)
  checkProduct(resolved, claims.product, deps.product)
  checkPlatform(resolved, claims)
  const version = await versionOf(resolved, claims, deps, context)
  const { product, platform, from } = claims
  return prove('verify', {
    resolved,
    results: Object.freeze(results),
    version,
    ...(product === undefined ? {} : { product }),
    ...(platform === undefined ? {} : { platform }),
    ...(from === undefined ? {} : { from }),
  })
}

// Asked last, because a version source may remember its answer: nothing is remembered of a release that is refused anyway.
async function versionOf(
  { repository, root, manifest, tag, reference }: Resolved,
  { covers, version: signed }: SignedClaims,
  { journal, versions }: ReleaseDeps,
  context: RunContext,
): Promise<string> {
  const version = await versions.version(
    {
      repository,
      root: root.digest,
      manifest: manifest.digest,
      covers,
      ...(tag === undefined ? {} : { tag }),
      ...(signed === undefined ? {} : { signed }),
    },
    { ...context, state: pluginState(journal, versions) },
  )
  if (typeof version === 'string' && parseVersion(version) !== undefined) return version
  throw fail('BROKEN_PLUGIN', `${reference}: expected ${versions.name} to name a semver version, found ${quoted(version)}`, {
    stage: 'verify',
  })
}

function checkProduct({ reference }: Resolved, found: string | undefined, expected: string | undefined): void {
  if (expected === undefined || found === expected) return
  const shown = found === undefined ? 'none' : quoted(found)
  throw fail('WRONG_PRODUCT', `${reference}: expected the signed product ${quoted(expected)}, found ${shown}`, {
    stage: 'verify',
    details: { expected, found: found?.slice(0, 100) ?? null },
  })
}

// An unsigned index may point any platform at any signed manifest: the manifest's own word decides.
function checkPlatform({ reference, platform: offered }: Resolved, { platform }: SignedClaims): void {
  if (offered === undefined || platform === undefined || samePlatform(offered, platform)) return
  throw fail(
    'WRONG_PLATFORM',
    `${reference}: the index offers this manifest for ${formatPlatform(offered)}, but it is signed for ${formatPlatform(platform)}`,
    { stage: 'verify' },
  )
}
