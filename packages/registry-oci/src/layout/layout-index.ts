import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { coreError, type Descriptor, isOtaError, manifestLimitBytes, mediaTypes, parseDescriptor } from '@reflash/core'
import { fail } from '../oci-errors.ts'
import type { OciSettings } from '../oci-options.ts'
import { onFiles } from './file-failure.ts'
import { readSmallFile, writeWhole } from './layout-file.ts'
import { withLayoutLock } from './layout-lock.ts'

/** OCI image spec, annotations: the tag of an entry of index.json. */
export const refName = 'org.opencontainers.image.ref.name'

/** One manifest that index.json lists. `json` is the entry as it stands, with fields that reflash does not know. */
export interface LayoutEntry {
  readonly descriptor: Descriptor
  readonly tag: string | undefined
  readonly json: unknown
}

const marker = '{"imageLayoutVersion":"1.0.0"}'
const markerLimit = 4096

/**
 * The entries of index.json, read whole.
 *
 * | file         | content                                                                                        |
 * |--------------|------------------------------------------------------------------------------------------------|
 * | oci-layout   | { "imageLayoutVersion": "1.0.0" }                                                              |
 * | index.json   | an image index; the tag of an entry is its annotation org.opencontainers.image.ref.name        |
 * | blobs/a/hex  | the content whose digest is a:hex, manifests too                                               |
 *
 * OCI image spec, image-layout.md.
 * @throws `NOT_FOUND` where there is no such directory, `INVALID_LAYOUT`, `TOO_LARGE`
 */
export async function readLayoutIndex(directory: string): Promise<readonly LayoutEntry[]> {
  await onFiles(`layout ${directory}`, () => readdir(directory))
  await checkMarker(directory)
  return entriesOf(await readIndexJson(directory), directory)
}

/**
 * Changes the entries of index.json; writers of other processes wait meanwhile, readers see the old or the new file.
 * @throws `LAYOUT_BUSY`, `INVALID_LAYOUT`
 */
export async function editLayoutIndex(
  directory: string,
  settings: OciSettings,
  signal: AbortSignal | undefined,
  edit: (entries: readonly LayoutEntry[]) => readonly unknown[],
): Promise<void> {
  await onFiles(`layout ${directory}`, () =>
    withLayoutLock(directory, settings, signal, async () => {
      const document = await readIndexJson(directory)
      const changed = { ...document, manifests: edit(entriesOf(document, directory)) }
      await writeIndexJson(directory, changed)
    }),
  )
}

/**
 * Makes a directory a layout where it is not one yet.
 * @throws `INVALID_LAYOUT` where it holds other things: a mistyped path is not filled with blobs
 */
export async function ensureLayout(directory: string, settings: OciSettings, signal: AbortSignal | undefined): Promise<void> {
  await onFiles(`layout ${directory}`, async () => {
    await mkdir(directory, { recursive: true })
    const names = await readdir(directory)
    if (names.includes('oci-layout') && names.includes('index.json')) return checkMarker(directory)
    const foreign = names.find((name) => !name.startsWith('.') && !['oci-layout', 'index.json', 'blobs'].includes(name))
    if (foreign !== undefined) {
      throw fail(
        'INVALID_LAYOUT',
        `${directory}: expected an OCI image layout or an empty directory, found ${JSON.stringify(foreign)} in it`,
      )
    }
    await withLayoutLock(directory, settings, signal, async () => {
      const now = await readdir(directory)
      await mkdir(join(directory, 'blobs'), { recursive: true })
      if (!now.includes('index.json')) await writeIndexJson(directory, { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] })
      // The marker last: who sees it finds the rest.
      if (!now.includes('oci-layout')) await writeWhole(directory, join(directory, 'oci-layout'), new TextEncoder().encode(marker))
    })
  })
}

async function checkMarker(directory: string): Promise<void> {
  const document = await readJson(directory, 'oci-layout', markerLimit)
  const version = document.imageLayoutVersion
  if (version === '1.0.0') return
  throw fail(
    'INVALID_LAYOUT',
    `${directory}/oci-layout: expected imageLayoutVersion "1.0.0", found ${JSON.stringify(version)?.slice(0, 100) ?? 'none'}`,
  )
}

function readIndexJson(directory: string): Promise<Readonly<Record<string, unknown>>> {
  return readJson(directory, 'index.json', manifestLimitBytes)
}

async function writeIndexJson(directory: string, document: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(document))
  if (bytes.length > manifestLimitBytes) {
    throw coreError(
      'TOO_LARGE',
      `${directory}/index.json: expected at most ${manifestLimitBytes} bytes, found ${bytes.length}; use another layout`,
    )
  }
  await writeWhole(directory, join(directory, 'index.json'), bytes)
}

async function readJson(directory: string, name: string, limitBytes: number): Promise<Readonly<Record<string, unknown>>> {
  const path = join(directory, name)
  try {
    return jsonObject(await onFiles(path, () => readSmallFile(path, limitBytes)), path)
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'NOT_FOUND') throw error
    throw fail('INVALID_LAYOUT', `${path}: expected a JSON file of an OCI image layout, found none`, { cause: error })
  }
}

function jsonObject(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw fail('INVALID_LAYOUT', `${path}: expected a JSON file of an OCI image layout, found none`, { cause })
  }
  if (typeof document === 'object' && document !== null && !Array.isArray(document)) return document as Readonly<Record<string, unknown>>
  throw fail('INVALID_LAYOUT', `${path}: expected a JSON object, found something else`)
}

/** Reads the content of index.json. @throws `INVALID_LAYOUT` */
export function parseLayoutIndex(bytes: Uint8Array, directory: string): readonly LayoutEntry[] {
  return entriesOf(jsonObject(bytes, `${directory}/index.json`), directory)
}

function entriesOf({ manifests }: Readonly<Record<string, unknown>>, directory: string): readonly LayoutEntry[] {
  if (!Array.isArray(manifests)) throw fail('INVALID_LAYOUT', `${directory}/index.json: expected a list of manifests, found none`)
  return manifests.map((json, index) => {
    try {
      const descriptor = parseDescriptor(json, `manifests[${index}]`)
      return { descriptor, tag: descriptor.annotations?.[refName], json }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it cannot be read'
      throw fail('INVALID_LAYOUT', `${directory}/index.json: ${why}`, { cause })
    }
  })
}
