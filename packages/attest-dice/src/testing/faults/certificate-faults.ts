import { extensionOid } from '../../x509/oids.ts'
import type { Fault } from '../broken-chains.ts'
import { der, derInteger, derOctets, derOid } from '../encode-der.ts'
import type { CertificateParts, WrittenExtension } from '../issue-certificate.ts'

const junk = (oid: string, critical: boolean): WrittenExtension => ({ oid, critical, value: derOctets(new Uint8Array(3)) })

/** Changes one certificate of a chain. */
export function at(wanted: number, change: (parts: CertificateParts) => Partial<CertificateParts>) {
  return (parts: CertificateParts, index: number): CertificateParts => (index === wanted ? { ...parts, ...change(parts) } : parts)
}

/** The same extension with another value; null leaves it out. */
export function exchange(oid: string, value: Uint8Array | null) {
  return ({ extensions }: CertificateParts): Partial<CertificateParts> => ({
    extensions: extensions.flatMap((extension) => (extension.oid !== oid ? [extension] : value === null ? [] : [{ ...extension, value }])),
  })
}

const add =
  (...more: readonly WrittenExtension[]) =>
  ({ extensions }: CertificateParts): Partial<CertificateParts> => ({ extensions: [...extensions, ...more] })

/** Changes the bytes of one shown certificate. */
export function bytes(wanted: number, change: (certificate: Uint8Array) => Uint8Array): NonNullable<Fault['show']> {
  return ({ certificates }) => ({
    certificates: certificates.map((certificate, index) => (index === wanted ? change(certificate) : certificate)),
  })
}

// Header of a certificate: 30 82 xx xx.
const indefinite = (certificate: Uint8Array): Uint8Array => Uint8Array.from([0x30, 0x80, ...certificate.subarray(4), 0, 0])

const manyLayers = Array.from({ length: 9 }, (_, index) => ({
  vendor: 'example',
  layer: index + 1,
  fwids: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }],
}))

/** What is wrong with one certificate by itself. */
export const certificateFaults: readonly Fault[] = [
  {
    name: 'more certificates than a chain may have',
    fails: ['CHAIN_LIMITS'],
    chain: { layers: manyLayers },
    options: () => ({ allowUnknownLayers: true, referenceValues: [] }),
  },
  { name: 'no certificate at all', fails: ['CHAIN_LIMITS'], show: () => ({ certificates: [] }) },
  {
    name: 'a certificate of more than 16 KiB',
    fails: ['CHAIN_LIMITS'],
    chain: { change: at(0, add({ oid: '1.2.3.4', critical: false, value: derOctets(new Uint8Array(17_000)) })) },
  },
  { name: 'a byte behind a certificate', fails: ['CERT_ENCODING'], show: bytes(0, (certificate) => Uint8Array.from([...certificate, 0])) },
  { name: 'an indefinite length (BER)', fails: ['CERT_ENCODING'], show: bytes(1, indefinite) },
  { name: 'something that is no certificate', fails: ['CERT_ENCODING'], show: bytes(2, () => der(0x30, derInteger(1))) },
  { name: 'version 1 with extensions', fails: ['CERT_VERSION'], chain: { change: at(0, () => ({ version: 0 })) } },
  { name: 'a serial number of zero', fails: ['CERT_SERIAL'], chain: { change: at(0, () => ({ serial: derInteger(0) })) } },
  { name: 'a negative serial number', fails: ['CERT_SERIAL'], chain: { change: at(1, () => ({ serial: derInteger(-5) })) } },
  {
    name: 'a serial number of 21 bytes',
    fails: ['CERT_SERIAL'],
    chain: { change: at(0, () => ({ serial: derOctets(new Uint8Array(21).fill(1), 0x02) })) },
  },
  {
    name: 'TcbInfo twice',
    fails: ['CERT_EXTENSION_TWICE'],
    chain: {
      change: at(0, ({ extensions }) => ({ extensions: [...extensions, ...extensions.filter(({ oid }) => oid === extensionOid.tcbInfo)] })),
    },
  },
  {
    name: 'policies that are none',
    fails: ['CERT_EXTENSION'],
    chain: { change: at(1, add(junk(extensionOid.certificatePolicies, false))) },
  },
  {
    name: 'more extensions than anybody has',
    fails: ['CERT_EXTENSION'],
    chain: { change: at(0, add(...Array.from({ length: 33 }, (_, index) => junk(`1.2.3.${index}`, false)))) },
  },
  { name: 'an unknown critical extension', fails: ['CERT_CRITICAL'], chain: { change: at(2, add(junk('1.2.3.4', true))) } },
  {
    name: 'policy constraints, which are not processed',
    fails: ['CERT_CRITICAL'],
    chain: { change: at(1, add({ oid: '2.5.29.36', critical: true, value: der(0x30, derInteger(0, 0x80)) })) },
  },
  { name: 'an unknown extension that is not critical', fails: [], chain: { change: at(0, add(junk('1.2.3.4', false))) } },
  {
    name: 'the root twice behind the chain',
    fails: ['CHAIN_TWICE'],
    show: ({ certificates, root }) => ({ certificates: [...certificates, root, root] }),
  },
  {
    name: 'a leaf that may sign certificates too',
    fails: ['LEAF_KEY_USAGE'],
    chain: { change: at(0, exchange(extensionOid.keyUsage, Uint8Array.of(0x03, 0x02, 0x02, 0x84))) },
  },
  { name: 'a leaf without key usage', fails: ['LEAF_KEY_USAGE'], chain: { change: at(0, exchange(extensionOid.keyUsage, null)) } },
  {
    name: 'a leaf that is not made to attest, where TCG is demanded',
    fails: ['LEAF_PURPOSE'],
    chain: { change: at(0, exchange(extensionOid.certificatePolicies, null)) },
    options: () => ({ profile: 'tcg' }),
  },
  {
    name: 'a leaf that is made for something else',
    fails: ['LEAF_PURPOSE'],
    chain: { change: at(0, exchange(extensionOid.certificatePolicies, der(0x30, der(0x30, derOid('2.23.133.5.4.100.12'))))) },
  },
  {
    name: 'the purpose to attest as extended key usage',
    fails: [],
    chain: {
      change: at(0, (parts) => ({
        extensions: [
          ...(exchange(extensionOid.certificatePolicies, null)(parts).extensions ?? []),
          { oid: extensionOid.extKeyUsage, critical: true, value: der(0x30, derOid('2.23.133.5.4.100.9')) },
        ],
      })),
    },
    options: () => ({ profile: 'tcg' }),
  },
  { name: 'TCG where Open DICE is demanded', fails: ['PROFILE'], options: () => ({ profile: 'open-dice' }) },
]
