import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { errorsOf, formatPlatform, type Platform } from '@reflash/core'
import { chipOfModel, esp32Errors, type ImageReport, inspectLimitBytes } from '@reflash/target-esp32'
import { swupdateErrors } from '@reflash/target-swupdate'
import { fail } from '../cli-errors.ts'
import { readError, startsWith } from '../files.ts'
import { archiveMagic, type FileReport, inspectFile, isSwu, type SwuReport } from '../inspect/inspect-file.ts'
import type { FileArgument } from './file-argument.ts'

const esp32Fail = errorsOf(esp32Errors)
const swuFail = errorsOf(swupdateErrors)

/** What the ESP32's own tools call an application image; OtaFlux's documentation uses it too. */
const esp32MediaType = 'application/vnd.espressif.esp32.firmware.v1+binary'
const otherMediaType = 'application/octet-stream'

export interface RecognisedFile {
  readonly path: string
  readonly title: string
  readonly platform: Platform
  readonly mediaType: string
  readonly sizeBytes: number
  /** What --force overruled. */
  readonly overruled: readonly string[]
}

/**
 * Reads a file and says what it is and where it runs: an ESP32 application names its chip, everything else must be told.
 * @throws `FILE_NOT_FOUND`, `FILE_NOT_READABLE`, `PLATFORM_NEEDED`, `PLATFORM_MISMATCH`, `IMAGE_REFUSED`, what is wrong with a .swu, `ABORTED`
 */
export async function recogniseFile(
  { path, platform }: FileArgument,
  { force, signal, now }: { readonly force: boolean; readonly signal: AbortSignal; readonly now: Date },
): Promise<RecognisedFile> {
  const { sizeBytes, report } = await look(path, signal, now)
  const problems = report === undefined ? [] : isSwu(report) ? swuProblems(path, report) : problemsFor(path, platform, report)
  const [first] = problems
  if (first !== undefined && !force) throw first
  const chosen = platform ?? ownPlatform(report)
  if (chosen === undefined) {
    throw fail(
      'PLATFORM_NEEDED',
      `${path}: expected <file>@<platform>, found no platform, and the file is no ESP32 application that names its chip`,
    )
  }
  return {
    path,
    title: basename(path),
    platform: chosen,
    mediaType: isEsp32(chosen) ? esp32MediaType : otherMediaType,
    sizeBytes,
    overruled: problems.map(({ message }) => message),
  }
}

async function look(path: string, signal: AbortSignal, now: Date): Promise<{ sizeBytes: number; report?: FileReport }> {
  try {
    const { size, isDirectory } = await stat(path).then((found) => ({ size: found.size, isDirectory: found.isDirectory() }))
    if (isDirectory) throw fail('FILE_NOT_READABLE', `expected an image at ${path}, found a folder`)
    // No flash of an ESP32 is that large: it is something else, and need not be read twice.
    if (size > inspectLimitBytes && !(await startsWith(path, archiveMagic))) return { sizeBytes: size }
    return { sizeBytes: size, report: await inspectFile(createReadStream(path), { signal, now }) }
  } catch (error) {
    throw readError(error, path, 'an image')
  }
}

function problemsFor(path: string, platform: Platform | undefined, image: ImageReport): readonly Error[] {
  const { kind, chip, problems } = image
  const forEsp32 = platform === undefined ? kind !== 'unknown' : isEsp32(platform)
  const found: Error[] = []
  if (platform !== undefined && kind === 'esp32-app' && chip !== undefined && chipOfModel(platform.architecture)?.name !== chip) {
    const message = `${path}: expected an image for ${formatPlatform(platform)}, found one for custom/${chip}`
    found.push(fail('PLATFORM_MISMATCH', message))
  }
  if (forEsp32 && problems.length > 0) {
    const list = problems.map(({ code }) => code).join(', ')
    found.push(
      esp32Fail('IMAGE_REFUSED', `${path}: expected an ESP32 application without problems, found ${kind} with ${list}`, {
        because: problems,
      }),
    )
  } else if (kind === 'empty') {
    found.push(esp32Fail('IMAGE_REFUSED', `${path}: expected an image, found an empty file`, { because: problems }))
  }
  return found
}

// Whoever installs it would find the same, one device after the other.
function swuProblems(path: string, { problems }: SwuReport): readonly Error[] {
  const [first] = problems
  if (first === undefined) return []
  const message = `${path}: ${problems.map((each) => each.message).join('; ')}`
  return [swuFail(first.code as keyof typeof swupdateErrors, message, { because: problems })]
}

function ownPlatform(image: FileReport | undefined): Platform | undefined {
  if (image?.kind !== 'esp32-app' || image.chip === undefined) return undefined
  return { os: 'custom', architecture: image.chip }
}

function isEsp32({ os, architecture }: Platform): boolean {
  return os === 'custom' && chipOfModel(architecture) !== undefined
}
