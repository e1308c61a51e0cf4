import { collect, type Descriptor, digestOf, mediaTypes, type Registry, streamOf } from '@reflash/core'

/** Bytes that look random and are the same in every run. */
export function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = seed >>> 0 || 1
  for (let at = 0; at < size; at++) {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state & 0xff
  }
  return bytes
}

export function descriptorOf(bytes: Uint8Array, mediaType = 'application/octet-stream'): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

export function bytesOf(document: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

export const emptyBytes = new TextEncoder().encode('{}')

/** A small artifact manifest over one layer. */
export function artifactOf(layer: Descriptor, more: Readonly<Record<string, unknown>> = {}): { bytes: Uint8Array; descriptor: Descriptor } {
  const bytes = bytesOf({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: 'application/vnd.example.firmware',
    config: { ...descriptorOf(emptyBytes, mediaTypes.empty) },
    layers: [layer],
    ...more,
  })
  return { bytes, descriptor: descriptorOf(bytes, mediaTypes.manifest) }
}

/** Pushes one layer and the artifact over it. */
export async function pushSmall(
  registry: Required<Pick<Registry, 'push'>>,
  repository: string,
  content: Uint8Array,
  more: Readonly<Record<string, unknown>> = {},
): Promise<{ layer: Descriptor; manifest: Descriptor; bytes: Uint8Array }> {
  const layer = descriptorOf(content)
  const { bytes, descriptor } = artifactOf(layer, more)
  await registry.push(repository, descriptorOf(emptyBytes, mediaTypes.empty), () => streamOf(emptyBytes))
  await registry.push(repository, layer, () => streamOf(content))
  await registry.push(repository, descriptor, () => streamOf(bytes))
  return { layer, manifest: descriptor, bytes }
}

export async function read(registry: Pick<Registry, 'fetch'>, repository: string, descriptor: Descriptor, offset = 0): Promise<Uint8Array> {
  return Uint8Array.from(await collect(await registry.fetch(repository, descriptor, { offset }), 64 * 1024 * 1024))
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
