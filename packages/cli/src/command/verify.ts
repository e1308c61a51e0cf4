import {
  annotations,
  type Check,
  choosePlatform,
  type Descriptor,
  type Json,
  OtaError,
  parseManifest,
  parsePlatform,
  type Reason,
  type Registry,
  type VerificationResult,
} from '@reflash/core'
import { cosignVerifier } from '@reflash/registry-oci'
import type { Command } from 'commander'
import { type Artifact, platformsOf, readArtifact, readManifestBytes } from '../artifact.ts'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exitCodes } from '../exit-code.ts'
import { readSmallFile } from '../files.ts'
import { errorDocument } from '../output.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'
import { required } from '../required-option.ts'
import { keyFileLimitBytes } from './sign.ts'

interface VerifyFlags extends RegistryFlags {
  readonly key: readonly string[]
  readonly platform?: string
}

export function defineVerify(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Says whether a key has signed what a reference names now, and prints what is signed. Exit code 0: verified; 3: not verified; 4: nobody can say, because the registry does not answer.',
      )
      .argument('<reference>', 'host[:port]/repository(:tag|@digest) or oci:<dir>(:tag|@digest)')
      .option(
        '--key <file>',
        'public key; can be given several times, then any one of them may have signed',
        (file: string, all: readonly string[] = []) => [...all, file],
      )
      .option('--platform <platform>', 'of an index, look for a signature of the manifest of this platform too'),
  )
    .hook('preAction', required('--key <file>'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash verify registry.example.com/firmware/lamp:1.2.0 --key cosign.pub
  reflash verify oci:releases:1.2.0 --key cosign.pub --json`,
    )
    .action((reference: string, flags: VerifyFlags) => verify(reference, flags, cli))
}

async function verify(reference: string, flags: VerifyFlags, cli: Cli): Promise<void> {
  const keys = await Promise.all(
    flags.key.map(async (name) => ({ name, pem: new TextDecoder().decode(await readSmallFile(name, 'a public key', keyFileLimitBytes)) })),
  )
  const verifier = cosignVerifier({ keys })
  const registry = await registryFrom(flags, cli)
  try {
    const artifact = await readArtifact(registry, reference, { signal: cli.signal })
    const { repository, root, index, pinned } = artifact
    const manifest = index === undefined || flags.platform === undefined ? root : choosePlatform(index, [parsePlatform(flags.platform)])
    const result = await verifier.verify(
      { repository, reference: pinned, root, manifest },
      { signal: cli.signal, now: cli.now(), from: registry, state: noState },
    )
    const signed = await signedFacts(artifact, result, manifest, registry, cli)
    report(reference, artifact, result, signed, cli)
  } finally {
    await registry.close?.()
  }
}

/** The cosign verifier remembers nothing; a command would have nowhere to keep it. */
const noState = {
  get: async () => undefined,
  put: async () => '',
}

/** Annotations that the signature covers; nothing else of them is worth printing. */
async function signedFacts(
  { repository, index, manifest: own }: Artifact,
  { covers }: VerificationResult,
  manifest: Descriptor,
  registry: Registry,
  { signal }: Cli,
): Promise<Readonly<Record<string, string>>> {
  if (own !== undefined) return own.annotations
  if (covers === 'root') return index?.annotations ?? {}
  return parseManifest(await readManifestBytes(registry, repository, manifest, { signal }), manifest.mediaType).annotations
}

function report(
  reference: string,
  { root, index }: Artifact,
  { checks, covers, signer }: VerificationResult,
  signed: Readonly<Record<string, string>>,
  { output }: Cli,
): void {
  const error = refusalOf(reference, checks)
  const facts: Record<string, Json> = {}
  if (error === undefined) {
    for (const name of ['version', 'product', 'platform'] as const) {
      const value = signed[annotations[name]]
      if (value !== undefined) facts[name] = value
    }
    if (index !== undefined && covers === 'root') facts.platforms = platformsOf(index)
  }
  const document: Json = {
    verified: error === undefined,
    reference,
    digest: root.digest,
    covers,
    ...(signer === undefined ? {} : { signer: signer.identity }),
    ...facts,
    checks: checks.map(({ name, status, reason }) => ({ name, status, ...(reason === undefined ? {} : { reason }) })),
    ...(error === undefined ? {} : { error: errorDocument(error) }),
  }
  const lines = [
    `${error === undefined ? 'verified' : error.fault === 'rejected' ? 'NOT verified' : 'not known'}: ${reference}`,
    `  digest    ${root.digest}`,
    ...(signer === undefined ? [] : [`  signer    ${signer.identity}`]),
    ...Object.entries(facts).map(([name, value]) => `  ${name.padEnd(9)} ${Array.isArray(value) ? value.join(', ') : String(value)}`),
    ...checks.map(({ name, status, reason }) => `  ${status.padEnd(9)} ${name}${reason === undefined ? '' : `: ${reason}`}`),
  ]
  output.result(document, lines.join('\n'), error === undefined ? 0 : exitCodes[error.fault])
}

/** All checks must pass; where the network failed nobody can say. A verifier without checks has said nothing. */
function refusalOf(reference: string, checks: readonly Check[]): OtaError | undefined {
  const because = (status: Check['status']): Reason[] =>
    checks.filter((check) => check.status === status).map(({ name, reason }) => ({ code: name, message: reason ?? name }))
  const failed = because('failed')
  const inconclusive = because('inconclusive')
  if (failed.length > 0 || checks.length === 0) {
    return fail('NOT_VERIFIED', `no signature of the given key covers ${reference}`, failed.length > 0 ? { because: failed } : {})
  }
  if (inconclusive.length === 0) return undefined
  return new OtaError('SIGNATURE_INCONCLUSIVE', 'unavailable', `the signatures of ${reference} could not be read`, {
    because: inconclusive,
  })
}
