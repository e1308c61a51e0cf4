import { appraiseChain, type ChainAppraisal, type DicePolicy, parseReferenceValues, readBlocks } from '@reflash/attest-dice'
import type { Json } from '@reflash/core'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exitCodes } from '../exit-code.ts'
import { readSmallFile } from '../files.ts'
import { errorDocument } from '../output.ts'
import { required } from '../required-option.ts'

interface AttestFlags {
  readonly anchors: readonly string[]
  readonly referenceValues: string
  readonly nonce?: string
  /** False: --no-proof. */
  readonly proof?: string | boolean
  /** Whether there is a --proof, also before --no-proof. */
  readonly namesProof: boolean
  readonly context?: string
  readonly at?: string
  readonly profile: string
  readonly allowCdiLeaf?: boolean
}

/** Ten certificates of 16 KiB in PEM. */
const chainLimitBytes = 512 * 1024
/** Ten thousand reference values. */
const referenceLimitBytes = 8 * 1024 * 1024
/** An ECDSA signature on P-384 takes 104. */
const proofLimitBytes = 1024

const files = (file: string, all: readonly string[] = []): readonly string[] => [...all, file]

export function defineAttest(command: Command, cli: Cli): void {
  command
    .description('Appraises what devices prove about themselves.')
    .addHelpText('after', '\nExamples:\n  reflash attest verify chain.pem --anchors root.pem --reference-values rv.json --no-proof')
  // --proof and --no-proof are one option, of which the last counts.
  let namesProof = false
  command
    .command('verify')
    .on('option:proof', () => {
      namesProof = true
    })
    .summary('judge a DICE chain')
    .description(
      'Judges a DICE certificate chain, leaf first, and the proof by the key of its leaf, and prints every check. Exit code 0: affirmed; 3: not.',
    )
    .argument('<file...>', 'one file of PEM, or a file for each certificate: leaf.der issuer.der ...')
    .option('--anchors <file>', 'trusted roots, PEM or DER; can be given several times', files)
    .option('--reference-values <file>', 'what is known to be good: JSON, [{ environment, fwids, minSvn }]')
    .option('--nonce <hex>', 'the nonce that the device was asked with')
    .option('--proof <file>', 'its signature over nonce, leaf and context: DER of ECDSA, or 64 bytes of Ed25519')
    .option('--no-proof', 'judge the chain alone, which everybody may have copied')
    .option('--context <text>', 'what the proof is bound to, such as "confirm d1"', '')
    .option('--at <time>', 'the time to judge at, ISO 8601; now unless said')
    .option('--profile <profile>', 'what the claims are written in: tcg, open-dice or auto', 'auto')
    .option('--allow-cdi-leaf', 'take a CDI certificate of Open DICE as leaf')
    .option('--json', 'print the result as JSON')
    .hook('preAction', required('--anchors <file>'))
    .hook('preAction', required('--reference-values <file>'))
    .addHelpText(
      'after',
      `
Examples:
  reflash attest verify chain.pem --anchors root.pem --reference-values rv.json --nonce 00112233445566778899aabbccddeeff --proof proof.bin
  reflash attest verify leaf.der issuer.der --anchors root.pem --reference-values rv.json --no-proof --json`,
    )
    .action((chain: readonly string[], flags: Omit<AttestFlags, 'namesProof'>) => verify(chain, { ...flags, namesProof }, cli))
}

async function verify(chain: readonly string[], flags: AttestFlags, cli: Cli): Promise<void> {
  const now = timeOf(flags.at, cli)
  const profile = profileOf(flags.profile)
  const proof = await proofOf(flags)
  const certificates = await certificatesOf(chain)
  const anchors = await Promise.all(flags.anchors.map((file) => readSmallFile(file, 'a trust anchor', chainLimitBytes)))
  const text = new TextDecoder().decode(await readSmallFile(flags.referenceValues, 'reference values', referenceLimitBytes))
  report(
    appraiseChain({
      certificates,
      anchors,
      now,
      proof,
      referenceValues: parseReferenceValues(text),
      policy: { profile, allowCdiLeaf: flags.allowCdiLeaf === true },
    }),
    cli,
  )
}

async function certificatesOf(chain: readonly string[]): Promise<readonly Uint8Array[]> {
  const read = await Promise.all(chain.map((file) => readSmallFile(file, 'a certificate chain', chainLimitBytes)))
  return read.flatMap((bytes, index) =>
    // What begins as DER is shown as it is: the checks tell what is wrong with it.
    bytes[0] === 0x30
      ? [bytes]
      : readBlocks(bytes).map(({ is, der }) => {
          if (is !== 'certificate') throw fail('USAGE', `${chain[index]}: expected certificates, found a public key`)
          return der
        }),
  )
}

async function proofOf({ proof, namesProof, nonce, context = '' }: AttestFlags) {
  if (proof === false) {
    // A script that asks for a proof and forgets --no-proof in it must not go on without one.
    if (namesProof || nonce !== undefined || context !== '') throw fail('USAGE', bothWays)
    return 'not-asked' as const
  }
  if (typeof proof !== 'string' || nonce === undefined) throw fail('USAGE', 'expected --nonce <hex> with --proof <file>, or --no-proof')
  if (!/^([0-9a-f]{2}){1,64}$/i.test(nonce)) throw fail('USAGE', `--nonce: expected 1 to 64 bytes in hex, found ${nonce.slice(0, 140)}`)
  return {
    nonce: new Uint8Array(Buffer.from(nonce, 'hex')),
    context: new TextEncoder().encode(context),
    signature: await readSmallFile(proof, 'a proof', proofLimitBytes),
  }
}

const bothWays = 'expected either --nonce and --proof, with --context where there is one, or --no-proof; found both'

function timeOf(at: string | undefined, cli: Cli): Date {
  if (at === undefined) return cli.now()
  const time = new Date(at)
  // Dates without a time are midnight in UTC, with one and no zone in local time: a verdict must not depend on where it is made.
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(at) || !isOnCalendar(at) || Number.isNaN(time.getTime())) {
    throw fail('USAGE', `--at: expected a time such as 2026-06-01T12:00:00Z, found ${at}`)
  }
  return time
}

// Date makes 2 March of 30 February.
function isOnCalendar(at: string): boolean {
  const [year = 0, month = 0, day = 0] = at.slice(0, 10).split('-').map(Number)
  return new Date(Date.UTC(year, month - 1, day)).toISOString().startsWith(at.slice(0, 10))
}

function profileOf(name: string): NonNullable<DicePolicy['profile']> {
  if (name === 'tcg' || name === 'open-dice' || name === 'auto') return name
  throw fail('USAGE', `--profile: expected tcg, open-dice or auto, found ${name}`)
}

function report({ tier, recovery, checks, measurements, identities }: ChainAppraisal, { output }: Cli): void {
  const failed = checks.filter(({ status }) => status === 'failed')
  const error =
    tier === 'affirming'
      ? undefined
      : fail('NOT_ATTESTED', `expected an affirming appraisal, found "${tier}"`, {
          because: failed.map(({ name, reason = name }) => ({ code: name, message: reason })),
        })
  const document = {
    tier,
    ...(recovery ? { recovery } : {}),
    checks: checks.map(({ name, status, certificate, reason }) => ({
      name,
      status,
      ...(certificate === undefined ? {} : { certificate }),
      ...(reason === undefined ? {} : { reason }),
    })),
    measurements: measurements as unknown as Json,
    ...(identities[0] === undefined ? {} : { identity: identities[0] }),
    ...(error === undefined ? {} : { error: errorDocument(error) }),
  }
  const lines = [
    `${tier}${recovery ? ' (recovery)' : ''}`,
    ...(identities[0] === undefined ? [] : [`  identity  ${identities[0]}`]),
    ...measurements.flatMap(({ environment, digests, svn }) => [
      `  measured  ${Object.entries(environment)
        .map(([member, value]) => `${member} ${typeof value === 'string' ? quoted(value) : value}`)
        .join(', ')}${svn === undefined ? '' : `, svn ${svn}`}`,
      ...digests.map(({ hashAlg, digest }) => `            ${hashAlg}:${digest}`),
    ]),
    ...checks.map(
      ({ name, status, certificate, reason }) =>
        `  ${status.padEnd(9)} ${name}${certificate === undefined ? '' : ` (certificate ${certificate})`}${reason === undefined ? '' : `: ${reason}`}`,
    ),
  ]
  output.result(document, lines.join('\n'), error === undefined ? 0 : exitCodes[error.fault])
}

// A certificate's texts are a stranger's: nothing in them may move the cursor.
function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029]/g, '?')
}
