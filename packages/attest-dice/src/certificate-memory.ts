import { createHash } from 'node:crypto'
import type { Remembered } from './judge-chain.ts'
import type { Certificate } from './x509/certificate.ts'
import { signatureMemory } from './x509/path.ts'

/**
 * Remembers certificates of chains that were affirmed, the least used forgotten first. Strangers' certificates are never kept, so that nobody
 * without a chain can push others out.
 */
export function certificateMemory(limit: number): Remembered {
  const kept = new Map<string, Certificate>()
  const nameOf = (der: Uint8Array): string => createHash('sha256').update(der).digest('base64')
  return {
    signatures: signatureMemory(),
    read(der) {
      if (kept.size === 0) return undefined
      const name = nameOf(der)
      const found = kept.get(name)
      if (found === undefined) return undefined
      kept.delete(name)
      kept.set(name, found)
      return found
    },
    keep(certificate) {
      if (limit === 0) return
      kept.set(nameOf(certificate.der), certificate)
      if (kept.size > limit) kept.delete(kept.keys().next().value as string)
    },
  }
}
