import type { FileHandle } from 'node:fs/promises'
import { type CheckedContent, checked, type Descriptor, formatPlatform, type Registry } from '@reflash/core'
import type { Command } from 'commander'
import { type Artifact, readArtifact } from '../artifact.ts'
import type { Cli } from '../cli.ts'
import { writeWhole } from '../files.ts'
import { oneImage } from '../one-image.ts'
import { formatBytes, progressOn } from '../progress.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'
import { required } from '../required-option.ts'

interface PullFlags extends RegistryFlags {
  readonly output: string
  readonly platform?: string
}

export function definePull(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Writes the image of a release into a file, which appears whole and checked (size and digest) or not at all. The signature is not looked at: run reflash verify first, and pull the digest that it prints.',
      )
      .argument('<reference>', 'host[:port]/repository(:tag|@digest) or oci:<dir>(:tag|@digest)')
      .option('-o, --output <file>', 'where to write; a file that is there is replaced')
      .option('--platform <platform>', 'which image of several, such as esp32s3 or linux/arm64'),
  )
    .hook('preAction', required('-o, --output <file>'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash pull registry.example.com/firmware/lamp:1.2.0 -o lamp.bin
  reflash pull oci:releases:1.2.0 --platform esp32s3 -o lamp.bin`,
    )
    .action((reference: string, flags: PullFlags) => pull(reference, flags, cli))
}

async function pull(reference: string, flags: PullFlags, cli: Cli): Promise<void> {
  const { signal, output } = cli
  const registry = await registryFrom(flags, cli)
  try {
    const artifact = await readArtifact(registry, reference, { signal })
    const { image, platform, manifest } = await oneImage(registry, artifact, flags.platform, { signal })
    const written = await writeWhole(flags.output, { replace: true }, (file) => download(registry, artifact, image, file, cli))
    output.result(
      {
        file: flags.output,
        reference: artifact.pinned,
        mediaType: image.mediaType,
        digest: image.digest,
        sizeBytes: written.size,
        crc32: written.crc32,
        platform: platform === undefined ? null : formatPlatform(platform),
        annotations: manifest.annotations,
      },
      [
        `pulled ${artifact.pinned}`,
        `  file      ${flags.output} (${formatBytes(written.size)})`,
        `  image     ${image.digest}`,
        ...(platform === undefined ? [] : [`  platform  ${formatPlatform(platform)}`]),
      ].join('\n'),
    )
  } finally {
    await registry.close?.()
  }
}

async function download(
  registry: Registry,
  { repository }: Artifact,
  image: Descriptor,
  file: FileHandle,
  { signal, stderr }: Cli,
): Promise<CheckedContent> {
  const progress = progressOn(stderr, 'pulling')
  let content: CheckedContent | undefined
  try {
    const bytes = checked(await registry.fetch(repository, image, { signal }), image, {
      signal,
      onProgress: (done) => progress.update(done, image.size),
      onDone: (done) => {
        content = done
      },
    })
    for await (const chunk of bytes) await file.writeFile(chunk)
  } finally {
    progress.end()
  }
  return content as CheckedContent
}
