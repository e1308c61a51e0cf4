/*
 * What an application says of itself: 256 bytes at the start of the first segment's data. ESP-IDF, esp_app_desc.h, esp_app_desc_t.
 *
 *   off size field
 *     0    4 magic 0xABCD5432
 *     4    4 security version (anti-rollback)
 *     8    8 reserved
 *    16   32 version, NUL-terminated
 *    48   32 project name
 *    80   16 time of compilation
 *    96   16 date of compilation
 *   112   32 version of ESP-IDF
 *   144   32 SHA-256 of the ELF file
 *   176    2 least eFuse block revision, major * 100 + minor
 *   178    2 greatest eFuse block revision, 0 and 65535: any
 *   180    1 log2 of the MMU page size, 0: not told, 64 KiB
 *   181   75 flash mode of the driver and reserved
 */
export const appDescriptionBytes = 256
const appMagic = 0xabcd_5432
const textFields = { version: [16, 32], projectName: [48, 32], time: [80, 16], date: [96, 16], idfVersion: [112, 32] } as const

export interface AppDescription {
  readonly secureVersion: number
  /** Advisory: Arduino builds carry the version of the core here, not of the sketch. */
  readonly version: string
  readonly projectName: string
  readonly time: string
  readonly date: string
  readonly idfVersion: string
  /** Lower case hex. */
  readonly elfSha256: string
  /** Major * 100 + minor. */
  readonly minEfuseBlockRevision: number
  /** Major * 100 + minor; undefined: any. */
  readonly maxEfuseBlockRevision?: number
  /** log2 of bytes, 0 where the image does not tell. */
  readonly mmuPageLog2: number
}

/** Reads the 256 bytes; undefined where they do not begin with the magic, or are fewer. */
export function parseAppDescription(bytes: Uint8Array): AppDescription | undefined {
  if (bytes.length < appDescriptionBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, appDescriptionBytes)
  if (view.getUint32(0, true) !== appMagic) return undefined
  const text = (field: keyof typeof textFields): string =>
    readText(bytes.subarray(textFields[field][0], textFields[field][0] + textFields[field][1]))
  const maxBlock = view.getUint16(178, true)
  return {
    secureVersion: view.getUint32(4, true),
    version: text('version'),
    projectName: text('projectName'),
    time: text('time'),
    date: text('date'),
    idfVersion: text('idfVersion'),
    elfSha256: Buffer.from(bytes.subarray(144, 176)).toString('hex'),
    minEfuseBlockRevision: view.getUint16(176, true),
    ...(maxBlock === 0 || maxBlock === 0xffff ? {} : { maxEfuseBlockRevision: maxBlock }),
    mmuPageLog2: view.getUint8(180),
  }
}

/** Whether these bytes begin as an application descriptor does, even where they are too few. */
export function startsAppDescription(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) === appMagic
}

// The text goes into logs and terminals: control characters of a hostile image must not.
function readText(field: Uint8Array): string {
  const end = field.indexOf(0)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end)).replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
}

/** The most bytes of UTF-8 that a text field holds with its terminator. */
export const textLimits: Readonly<Record<keyof typeof textFields, number>> = {
  version: 31,
  projectName: 31,
  time: 15,
  date: 15,
  idfVersion: 31,
}

export function encodeAppDescription(values: AppDescription): Uint8Array {
  const bytes = new Uint8Array(appDescriptionBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, appMagic, true)
  view.setUint32(4, values.secureVersion, true)
  for (const [field, [offset]] of Object.entries(textFields)) {
    bytes.set(new TextEncoder().encode(values[field as keyof typeof textFields]), offset)
  }
  bytes.set(Buffer.from(values.elfSha256, 'hex'), 144)
  view.setUint16(176, values.minEfuseBlockRevision, true)
  view.setUint16(178, values.maxEfuseBlockRevision ?? 0xffff, true)
  view.setUint8(180, values.mmuPageLog2)
  return bytes
}
