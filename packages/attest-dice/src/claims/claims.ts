import { NotDer, readDer } from '../x509/der.ts'
import { extensionOid } from '../x509/oids.ts'
import { type OpenDiceInput, readOpenDiceInput } from './open-dice.ts'
import { readMultiTcbInfo, readTcbInfo, type TcbInfo } from './tcb-info.ts'

/** What the DICE extensions of one certificate say. */
export interface Claims {
  /** TcbInfo first, then the elements of MultiTcbInfo. */
  readonly tcb: readonly TcbInfo[]
  readonly openDice?: OpenDiceInput
  readonly ueid?: Uint8Array
  /** Why an extension could not be read; what it would have said is missing then. */
  readonly problems: readonly string[]
}

/** Reads the DICE extensions of a certificate; never throws for their content. */
export function readClaims(extensions: readonly { readonly oid: string; readonly value: Uint8Array }[]): Claims {
  const problems: string[] = []
  const read = <T>(name: 'tcbInfo' | 'multiTcbInfo' | 'ueid' | 'openDiceInput', readValue: (value: Uint8Array) => T): T | undefined => {
    const found = extensions.find(({ oid }) => oid === extensionOid[name])
    if (found === undefined) return undefined
    try {
      return readValue(found.value)
    } catch (error) {
      if (!(error instanceof NotDer)) throw error
      problems.push(`${name}: expected it as its document describes, found ${error.message}`)
      return undefined
    }
  }
  const single = read('tcbInfo', readTcbInfo)
  const several = read('multiTcbInfo', readMultiTcbInfo) ?? []
  const openDice = read('openDiceInput', readOpenDiceInput)
  const ueid = read('ueid', readUeid)
  return {
    tcb: [...(single === undefined ? [] : [single]), ...several],
    ...(openDice === undefined ? {} : { openDice }),
    ...(ueid === undefined ? {} : { ueid }),
    problems,
  }
}

/** `SEQUENCE { ueid OCTET STRING }`. @throws NotDer */
function readUeid(value: Uint8Array): Uint8Array {
  const { tag, children } = readDer(value)
  const [ueid, more] = children
  if (tag !== 0x30 || ueid?.tag !== 0x04 || more !== undefined) throw new NotDer('a UEID that is not { ueid OCTET STRING }')
  return ueid.value
}
