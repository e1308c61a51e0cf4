import { openKey, signArtifact } from '@reflash/registry-oci'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { readSmallFile } from '../files.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'
import { required } from '../required-option.ts'
import { keyPassword } from '../secret.ts'

/** Bytes; a cosign.key has under 1 KiB, one of an RSA key under 8 KiB. */
export const keyFileLimitBytes = 65_536

interface SignFlags extends RegistryFlags {
  readonly key: string
}

export function defineSign(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Signs what a reference names now, a single artifact or an index with all its platforms, as cosign does: the signature lies in the same repository under the tag sha256-<hex>.sig. The password of the key comes from COSIGN_PASSWORD, or is asked for.',
      )
      .argument('<reference>', 'host[:port]/repository(:tag|@digest) or oci:<dir>(:tag|@digest)')
      .option('--key <file>', 'private key, as reflash keygen and cosign write it'),
  )
    .hook('preAction', required('--key <file>'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash sign registry.example.com/firmware/lamp:1.2.0 --key cosign.key
  COSIGN_PASSWORD="$(cat password)" reflash sign oci:releases:1.2.0 --key cosign.key`,
    )
    .action((reference: string, flags: SignFlags) => sign(reference, flags, cli))
}

async function sign(reference: string, flags: SignFlags, cli: Cli): Promise<void> {
  const { signal, output } = cli
  const pem = new TextDecoder().decode(await readSmallFile(flags.key, 'a private key', keyFileLimitBytes))
  const registry = await registryFrom(flags, cli)
  try {
    const key = await openKey(pem, await keyPassword(cli, flags.key), { signal })
    const { subject, reference: signatureReference, added } = await signArtifact(registry, reference, key, { signal })
    output.result(
      { reference, digest: subject.digest, mediaType: subject.mediaType, signatures: signatureReference, key: key.identity, added },
      `${added ? 'signed' : 'already signed'} ${reference}\n  digest     ${subject.digest}\n  signature  ${signatureReference}\n  key        ${key.identity}`,
    )
  } finally {
    await registry.close?.()
  }
}
