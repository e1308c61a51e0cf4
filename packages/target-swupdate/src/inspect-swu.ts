import type { ByteStream, Reason } from '@reflash/core'
import { readCpio } from './cpio.ts'
import { expectSigned, type Signers } from './signers.ts'
import { parseSwDescription, type SwDescription } from './sw-description.ts'
import { fail, type swupdateErrors } from './swupdate-errors.ts'

const descriptionName = 'sw-description'
const signatureName = 'sw-description.sig'
/** Bytes. Hundreds of images are described in 64 KiB, four times over; a CMS signature with a chain of 8 has 20 KiB. */
const descriptionLimit = 256 * 1024
const signatureLimit = 64 * 1024

/** Problems that one message tells, which is a line of a log; all are in `because`. */
const problemsTold = 8

export interface InspectedSwu extends SwDescription {
  readonly isSigned: boolean
}

/**
 * Reads an update whole: its archive and checksums, its description, the signature over that, and the SHA-256 by which the description binds
 * each image. `signers` undefined leaves the signature to the devices.
 * @throws `NOT_SWU`, `SWU_CUT`, `SWU_LIMIT`, `SWU_ORDER`, `SWU_CHECKSUM`, `SW_DESCRIPTION_INVALID`, `SWU_UNSIGNED`, `SWU_SIGNATURE_INVALID`,
 * `SWU_IMAGE_MISSING`, `SWU_HASH_MISSING`, `SWU_HASH_MISMATCH` with every reason, `ABORTED`
 */
export async function inspectSwu(
  stream: ByteStream,
  { signers, now, signal }: { readonly signers?: Signers | undefined; readonly now: Date; readonly signal: AbortSignal },
): Promise<InspectedSwu> {
  const members = await readCpio(stream, {
    signal,
    keep: (name) => (name === descriptionName ? descriptionLimit : name === signatureName ? signatureLimit : undefined),
  })
  const [first, second] = members
  if (first?.name !== descriptionName || first.bytes === undefined) {
    throw fail('SWU_ORDER', `expected ${descriptionName} to come first, found ${JSON.stringify(first?.name ?? 'nothing')}`)
  }
  const files = new Map<string, string>()
  for (const { name, sha256 } of members) {
    if (files.has(name)) throw fail('SWU_ORDER', `expected each member once, found ${JSON.stringify(name)} twice`)
    files.set(name, sha256)
  }
  const signature = second?.name === signatureName ? second.bytes : undefined
  if (signature === undefined && files.has(signatureName)) {
    throw fail('SWU_ORDER', `expected ${signatureName} right behind ${descriptionName}, found it elsewhere`)
  }
  if (signers !== undefined) {
    if (signature === undefined) throw fail('SWU_UNSIGNED', `expected ${signatureName} behind ${descriptionName}, found none`)
    expectSigned(first.bytes, signature, signers, now)
  }
  const description = parseSwDescription(first.bytes)
  const because = problemsOf(description, files)
  const [problem] = because
  if (problem !== undefined) {
    const told = because.slice(0, problemsTold).map(({ message }) => message)
    if (because.length > told.length) told.push(`and ${because.length - told.length} more`)
    throw fail(problem.code as keyof typeof swupdateErrors, told.join('; '), { because })
  }
  return { ...description, isSigned: signature !== undefined }
}

function problemsOf({ images }: SwDescription, files: ReadonlyMap<string, string>): readonly Reason[] {
  const because: Reason[] = []
  const note = (code: keyof typeof swupdateErrors, message: string): void => void because.push({ code, message })
  for (const { filename, sha256 } of images) {
    const shown = JSON.stringify(filename)
    const found = files.get(filename)
    if (found === undefined) note('SWU_IMAGE_MISSING', `${shown}: expected a member of that name, found none`)
    else if (sha256 === undefined) note('SWU_HASH_MISSING', `${shown}: expected a sha256 in sw-description, found none`)
    else if (found !== sha256) note('SWU_HASH_MISMATCH', `${shown}: expected SHA-256 ${sha256}, found ${found}`)
  }
  return because
}
