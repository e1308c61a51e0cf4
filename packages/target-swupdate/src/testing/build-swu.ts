import { createHash } from 'node:crypto'

/** A member of an archive. */
export interface SwuMember {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface SwuOptions {
  readonly version: string
  /** The image, installed by the `raw` handler. */
  readonly image: Uint8Array
  /** Where the device writes it; `/dev/null` where absent. */
  readonly device?: string
  /** `hardware-compatibility`; `["1.0"]` where absent. */
  readonly hardware?: readonly string[]
  /** What sw-description says of the image's SHA-256, where it is not to be the truth. */
  readonly sha256?: string
  /** Makes sw-description.sig, such as `testSigner().sign`; none where absent. */
  readonly sign?: (description: Uint8Array) => Uint8Array
}

/** Makes an update with one image, as `cpio -o -H crc` packs it: what the tests of devices and servers install. */
export function buildSwu(options: SwuOptions): Uint8Array {
  const { image, sign } = options
  const description = Buffer.from(describeSwu(options))
  return packCpio([
    { name: 'sw-description', bytes: description },
    ...(sign === undefined ? [] : [{ name: 'sw-description.sig', bytes: sign(description) }]),
    { name: 'image.bin', bytes: image },
  ])
}

/** The sw-description of {@link buildSwu}: one board-independent image for each of the copies that a device may select. */
export function describeSwu(options: SwuOptions): string {
  const { version, image, device = '/dev/null', hardware = ['1.0'] } = options
  const { sha256 = createHash('sha256').update(image).digest('hex') } = options
  const entry = `{ filename = "image.bin"; type = "raw"; device = ${JSON.stringify(device)}; sha256 = "${sha256}"; }`
  return `software =
{
  version = ${JSON.stringify(version)};
  hardware-compatibility: [ ${hardware.map((each) => JSON.stringify(each)).join(', ')} ];
  stable = {
    copy1 = { images: ( ${entry} ); };
  };
}
`
}

/** Packs members with checksums ("070702"), the trailer and padding to blocks of 512 bytes included. */
export function packCpio(members: readonly SwuMember[]): Uint8Array {
  const parts = [...members, { name: 'TRAILER!!!', bytes: new Uint8Array(0) }].flatMap(packed)
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  return new Uint8Array(Buffer.concat([...parts, new Uint8Array((512 - (size % 512)) % 512)]))
}

function packed({ name, bytes }: SwuMember, index: number): readonly Uint8Array[] {
  const text = Buffer.from(`${name}\0`)
  let sum = 0
  for (const byte of bytes) sum = (sum + byte) >>> 0
  const hex = (value: number): string => value.toString(16).padStart(8, '0')
  // Inode, mode, uid, gid, links, time; size; four device numbers; length of the name, sum.
  const fields = [index + 1, 0o100644, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, text.length, name === 'TRAILER!!!' ? 0 : sum]
  const head = Buffer.from(`070702${fields.map(hex).join('')}`)
  return [head, text, zeros(head.length + text.length), bytes, zeros(bytes.length)]
}

function zeros(size: number): Uint8Array {
  return new Uint8Array((4 - (size % 4)) % 4)
}
