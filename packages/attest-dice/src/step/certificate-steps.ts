import { fingerprintOf } from '../x509/certificate.ts'
import { extensionOid } from '../x509/oids.ts'
import type { Finding, Scene, Step } from './scene.ts'

/** The longest known chains have 8; each costs a signature. */
const certificateLimit = 10
/** Certificates of DICE take 0.5 to 2 KiB. */
const certificateLimitBytes = 16 * 1024
/** Caliptra's have 7. */
const extensionLimit = 32

/** Critical extensions that are processed; any other restricts the certificate in a way that nobody here knows. */
const processed: ReadonlySet<string> = new Set([
  extensionOid.basicConstraints,
  extensionOid.keyUsage,
  extensionOid.extKeyUsage,
  extensionOid.certificatePolicies,
  extensionOid.nameConstraints,
  extensionOid.subjectAltName,
  extensionOid.tcbInfo,
  extensionOid.multiTcbInfo,
  extensionOid.ueid,
  extensionOid.openDiceInput,
])

/** Steps on each certificate alone. */
export const certificateSteps: readonly Step[] = [
  {
    name: 'CHAIN_LIMITS',
    group: 'limits',
    needs: 'bytes',
    find({ presented }) {
      if (presented.length === 0 || presented.length > certificateLimit) {
        return [{ reason: `expected 1 to ${certificateLimit} certificates, found ${presented.length}` }]
      }
      return presented.flatMap(({ length }, certificate) =>
        length > certificateLimitBytes ? [{ certificate, reason: `expected at most ${certificateLimitBytes} bytes, found ${length}` }] : [],
      )
    },
  },
  {
    name: 'CERT_ENCODING',
    group: 'limits',
    needs: 'bytes',
    find: ({ read }) =>
      read.flatMap((certificate, index) => {
        const problem = typeof certificate === 'string' ? certificate : certificate.encodingProblem
        return problem === undefined ? [] : [{ certificate: index, reason: `expected one X.509 certificate in DER, found ${problem}` }]
      }),
  },
  {
    name: 'CERT_VERSION',
    group: 'limits',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ version, extensions }) =>
        version === 3 || (extensions.length === 0 && version < 3)
          ? undefined
          : `expected version 3 for a certificate with extensions, found ${version}`,
      ),
  },
  {
    name: 'CERT_SERIAL',
    group: 'limits',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ serial }) => {
        const isPositive = ((serial[0] ?? 0x80) & 0x80) === 0 && serial.some((octet) => octet !== 0)
        // RFC 5280, 4.1.2.2: 20 octets; one more where the first only keeps it positive.
        const isShort = serial.length <= 20 || (serial.length === 21 && serial[0] === 0)
        return isPositive && isShort ? undefined : 'expected a positive serial number of at most 20 bytes, found another'
      }),
  },
  {
    name: 'CERT_EXTENSION_TWICE',
    group: 'limits',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ extensions }) => {
        const twice = extensions.find(({ oid }, index) => extensions.findIndex((other) => other.oid === oid) !== index)
        return twice === undefined ? undefined : `expected each extension once, found ${twice.oid} twice`
      }),
  },
  {
    name: 'CERT_EXTENSION',
    group: 'limits',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ extensions, extensionProblems }) => {
        if (extensions.length > extensionLimit) return `expected at most ${extensionLimit} extensions, found ${extensions.length}`
        return extensionProblems.length === 0
          ? undefined
          : `expected extensions as RFC 5280 describes them, found ${extensionProblems.join('; ')}`
      }),
  },
  {
    name: 'CHAIN_TWICE',
    group: 'order',
    needs: 'chain',
    find({ read }) {
      const seen = new Map<string, number>()
      return read.flatMap((certificate, index) => {
        if (typeof certificate === 'string') return []
        const print = fingerprintOf(certificate)
        const before = seen.get(print)
        seen.set(print, index)
        return before === undefined
          ? []
          : [{ certificate: index, reason: `expected each certificate once, found certificate ${before} again` }]
      })
    },
  },
  {
    name: 'CERT_CRITICAL',
    group: 'extensions',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ extensions }) => {
        const unknown = extensions.filter(({ oid, critical }) => critical && !processed.has(oid))
        return unknown.length === 0
          ? undefined
          : `expected critical extensions that are understood, found ${unknown.map(({ oid }) => oid).join(', ')}`
      }),
  },
]

/** What is wrong with each certificate below the anchor. */
export function each(
  { path: { chain } }: Scene,
  judge: (certificate: Scene['path']['chain'][number], index: number) => string | undefined,
): readonly Finding[] {
  return chain.flatMap((certificate, index) => {
    const reason = judge(certificate, index)
    return reason === undefined ? [] : [{ certificate: index, reason }]
  })
}
