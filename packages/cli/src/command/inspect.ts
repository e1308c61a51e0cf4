import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json } from '@reflash/core'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { exists, fileNotFound, readError } from '../files.ts'
import { imageLines } from '../inspect/image-lines.ts'
import { type FileReport, inspectFile } from '../inspect/inspect-file.ts'
import { inspectReference, referenceLines } from '../inspect/inspect-reference.ts'
import { progressOn } from '../progress.ts'
import { type RegistryFlags, registryFrom, withRegistryFlags } from '../registry-options.ts'

interface InspectFlags extends RegistryFlags {
  readonly platform?: string
}

export function defineInspect(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Says what a file is and everything that is wrong with it, or what a release holds: its annotations, platforms, signatures and images. A path that exists is a file; everything else is a reference. The exit code is 0 also where problems were found: read `problems`.',
      )
      .argument('<file|reference>', 'a file, host[:port]/repository(:tag|@digest) or oci:<dir>(:tag|@digest)')
      .option('--platform <platform>', 'of an index, look into the image of this platform alone'),
  )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash inspect build/lamp.bin
  reflash inspect build/lamp.bin --json | jq .problems
  reflash inspect gate.swu
  reflash inspect oci:releases:1.2.0`,
    )
    .action((subject: string, flags: InspectFlags) => inspect(subject, flags, cli))
}

async function inspect(subject: string, flags: InspectFlags, cli: Cli): Promise<void> {
  if (await exists(subject)) {
    await refuseFolder(subject)
    const report = await readFile(subject, cli)
    cli.output.result({ file: subject, ...report } as unknown as Json, [subject, ...imageLines(report)].join('\n'))
    return
  }
  if (looksLikeFile(subject)) throw fileNotFound(subject, 'a file or a reference')
  const registry = await registryFrom(flags, cli)
  try {
    const found = await inspectReference(registry, subject, flags.platform, cli)
    cli.output.result(found as unknown as Json, referenceLines(found).join('\n'))
  } finally {
    await registry.close?.()
  }
}

/** A folder is a layout only where it is called one, as in every other command. */
async function refuseFolder(path: string): Promise<void> {
  if (!(await stat(path)).isDirectory()) return
  const hint = (await exists(join(path, 'oci-layout'))) ? `; it is an image layout: write oci:${path} and a tag` : ''
  throw fail('FILE_NOT_READABLE', `expected a file or a reference at ${path}, found a folder${hint}`)
}

async function readFile(path: string, { signal, stderr, now }: Cli): Promise<FileReport> {
  const progress = progressOn(stderr, 'reading')
  try {
    const { size } = await stat(path)
    const counting = counted(createReadStream(path), (done) => progress.update(done, size))
    return await inspectFile(counting, { signal, now: now() })
  } catch (error) {
    throw readError(error, path, 'a file')
  } finally {
    progress.end()
  }
}

async function* counted(source: AsyncIterable<Uint8Array>, onProgress: (done: number) => void) {
  let done = 0
  for await (const chunk of source) {
    done += chunk.length
    onProgress(done)
    yield chunk
  }
}

/** `fw.bin` is no reference (it has no repository): the reader meant a file. */
function looksLikeFile(subject: string): boolean {
  return !subject.startsWith('oci:') && (!subject.includes('/') || /^[./]/.test(subject))
}
