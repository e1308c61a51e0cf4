import { createReadStream } from 'node:fs'
import { formatPlatform, formatReference, type Json, parseReference } from '@reflash/core'
import { type PushedArtifact, pushArtifact } from '@reflash/registry-oci'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exists } from '../files.ts'
import { formatBytes, progressOn } from '../progress.ts'
import { parseAnnotations } from '../push/annotation-argument.ts'
import { parseFileArgument } from '../push/file-argument.ts'
import { type RecognisedFile, recogniseFile } from '../push/recognise-file.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'

interface PushFlags extends RegistryFlags {
  readonly product?: string
  readonly annotation?: readonly string[]
  readonly force?: boolean
}

export function definePush(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Pushes a release: one file as an artifact, several as an index with one image per platform. The version goes from the tag (1.2.3 or v1.2.3) into the manifest, beside product and platform, so that a signature covers them. ESP32 applications are recognised, checked and give their chip as platform; other files need <file>@<platform>, and .swu files are checked as far as that can be without their signers.',
      )
      .argument('<reference>', 'host[:port]/repository:version or oci:<dir>:version')
      .argument('<file[@platform]...>', 'image, and where it runs: esp32s3, custom/esp32s3, linux/arm64')
      .option('--product <name>', 'the product that the images are for; servers told to expect one refuse others')
      .option('--annotation <key=value>', 'a further annotation; can be given several times', (value: string, all: string[] = []) => [
        ...all,
        value,
      ])
      .option('--force', 'push images with problems, and on platforms that are not theirs'),
  )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash push registry.example.com/firmware/lamp:1.2.0 build/lamp.bin --product lamp
  reflash push oci:releases:1.2.0 lamp-s3.bin lamp-c3.bin
  reflash push oci:gates:1.2.0 gate.swu@linux/arm64 --product gate
  reflash push 127.0.0.1:5000/gateway:v2.0.0 rootfs.img@linux/arm64 --annotation 'dev.reflash.from=>=1.8.0'`,
    )
    .action((reference: string, files: readonly string[], flags: PushFlags) => push(reference, files, flags, cli))
}

async function push(reference: string, texts: readonly string[], flags: PushFlags, cli: Cli): Promise<void> {
  const { signal, output } = cli
  const { repository, digest } = parseReference(reference)
  if (digest !== undefined)
    throw fail('USAGE', `expected a tag to push to, found a digest in ${reference}: the digest is what a push makes`)
  const annotations = parseAnnotations(flags.annotation ?? [])
  const files = await recogniseAll(texts, flags, cli)
  const registry = await registryFrom(flags, cli)
  const progress = progressOn(cli.stderr, 'pushing')
  try {
    const sources = files.map(({ path, title, platform, mediaType }) => ({
      title,
      platform,
      mediaType,
      open: () => createReadStream(path),
    }))
    const pushed = await pushArtifact(registry, reference, sources, {
      created: cli.now(),
      annotations,
      ...(flags.product === undefined ? {} : { product: flags.product }),
      signal,
      progress: progress.update,
    })
    progress.end()
    output.result(...summary(reference, repository, pushed, flags.product))
  } finally {
    progress.end()
    await registry.close?.()
  }
}

function summary(
  reference: string,
  repository: string,
  { root, version, images }: PushedArtifact,
  product: string | undefined,
): [Json, string] {
  const pinned = formatReference({ repository, digest: root.digest })
  const platformOf = (image: PushedArtifact['images'][number]) => (image.platform === undefined ? '' : formatPlatform(image.platform))
  return [
    {
      reference,
      pinned,
      digest: root.digest,
      mediaType: root.mediaType,
      version,
      ...(product === undefined ? {} : { product }),
      platforms: images.map(platformOf),
      images: images.map((image) => ({
        platform: platformOf(image),
        manifest: image.manifest.digest,
        digest: image.image.digest,
        sizeBytes: image.image.size,
      })),
    },
    [
      `pushed ${reference}`,
      `  digest    ${root.digest}`,
      `  version   ${version}`,
      ...(product === undefined ? [] : [`  product   ${product}`]),
      ...images.map((image) => `  platform  ${platformOf(image)} (${formatBytes(image.image.size)}, ${image.image.digest})`),
      `sign it with: reflash sign ${pinned} --key cosign.key`,
    ].join('\n'),
  ]
}

async function recogniseAll(
  texts: readonly string[],
  { force = false }: PushFlags,
  { signal, output, now }: Cli,
): Promise<readonly RecognisedFile[]> {
  const files: RecognisedFile[] = []
  for (const text of texts) {
    const file = await recogniseFile(await parseFileArgument(text, exists), { force, signal, now: now() })
    for (const message of file.overruled) output.note(`reflash: --force overrules: ${message}`)
    files.push(file)
  }
  return files
}
