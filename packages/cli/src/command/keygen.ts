import { generateKeyPair } from '@reflash/registry-oci'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exists, writeWhole } from '../files.ts'
import { keyPassword } from '../secret.ts'

interface KeygenOptions {
  readonly outputKeyPrefix: string
  readonly force?: boolean
}

export function defineKeygen(command: Command, cli: Cli): void {
  command
    .description(
      'Makes a P-256 key pair in the files <prefix>.key (encrypted, readable by you alone) and <prefix>.pub. cosign and skopeo read both. The password comes from COSIGN_PASSWORD, or is asked for.',
    )
    .option('--output-key-prefix <prefix>', 'path of the two files, without .key and .pub', 'cosign')
    .option('--force', 'replace files that exist: what the old key signed stays verifiable only with the old .pub')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash keygen
  COSIGN_PASSWORD="$(cat password)" reflash keygen --output-key-prefix keys/release`,
    )
    .action((options: KeygenOptions) => keygen(options, cli))
}

async function keygen({ outputKeyPrefix, force = false }: KeygenOptions, cli: Cli): Promise<void> {
  if (outputKeyPrefix === '' || outputKeyPrefix.endsWith('/')) {
    throw fail('USAGE', `--output-key-prefix: expected a path such as keys/release, found ${JSON.stringify(outputKeyPrefix)}`)
  }
  const privateKeyFile = `${outputKeyPrefix}.key`
  const publicKeyFile = `${outputKeyPrefix}.pub`
  // Asked before the password: nobody wants to type it twice in order to be refused.
  for (const path of [privateKeyFile, publicKeyFile]) {
    if (!force && (await exists(path))) throw fail('FILE_EXISTS', `expected no file at ${path}, found one`)
  }
  const password = await keyPassword(cli, privateKeyFile, { confirm: true })
  const pair = await generateKeyPair(password, { signal: cli.signal })
  await writeWhole(privateKeyFile, { mode: 0o600, replace: force }, (file) => file.writeFile(pair.privateKeyPem))
  await writeWhole(publicKeyFile, { mode: 0o644, replace: force }, (file) => file.writeFile(pair.publicKeyPem))
  if (password === '') cli.output.note(`reflash: ${privateKeyFile} has an empty password: whoever can read the file can sign`)
  cli.output.result(
    { privateKeyFile, publicKeyFile },
    `private key: ${privateKeyFile} (keep it secret; sign releases with it)\npublic key:  ${publicKeyFile} (give it to every server: reflash serve --key ${publicKeyFile})`,
  )
}
