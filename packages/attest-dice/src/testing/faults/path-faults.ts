import { generateKeyPairSync } from 'node:crypto'
import { extensionOid, signatureOid } from '../../x509/oids.ts'
import type { Fault } from '../broken-chains.ts'
import { diceKey } from '../device-key.ts'
import { der, derInteger, derName, derOctets, derOid, derText } from '../encode-der.ts'
import { algorithmOf, nameOf } from '../issue-certificate.ts'
import { issueChain } from '../issue-chain.ts'
import { at, bytes, exchange } from './certificate-faults.ts'

const authority = (pathLength: number): Uint8Array => der(0x30, der(0x01, Uint8Array.of(0xff)), derInteger(pathLength))
const algorithm = (oid: string, ...parameters: readonly Uint8Array[]): Uint8Array => der(0x30, derOid(oid), ...parameters)

// { permitted or excluded { subtree { name } } }
const constraint = (member: 0xa0 | 0xa1, name: Uint8Array) => ({
  oid: extensionOid.nameConstraints,
  critical: true,
  value: der(0x30, der(member, der(0x30, name))),
})
const altName = (name: Uint8Array) => ({ oid: extensionOid.subjectAltName, critical: false, value: der(0x30, name) })

// The last byte of a signature, or of a point.
const flipLast = (certificate: Uint8Array): Uint8Array =>
  certificate.with(certificate.length - 1, (certificate.at(-1) as number) ^ 1) as Uint8Array

const rsa = () => new Uint8Array(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'der', type: 'spki' }))

const own = diceKey('P-256', 'a device that trusts itself')

const stranger = () => issueChain({ maker: 'stranger', layers: [{ layer: 1 }] })

/** What is wrong between a certificate and its issuer. */
export const pathFaults: readonly Fault[] = [
  { name: 'a chain of P-256', fails: [], chain: { algorithm: 'P-256' } },
  { name: 'a chain of P-384', fails: [], chain: { algorithm: 'P-384' } },
  { name: 'a chain of Ed25519', fails: [], chain: { algorithm: 'Ed25519' } },
  { name: 'a chain of all three', fails: [], chain: { algorithms: ['P-256', 'Ed25519', 'P-384', 'P-256', 'P-384'] } },
  { name: 'an unknown root', fails: ['CHAIN_ANCHOR'], options: () => ({ anchors: [stranger().root] }) },
  {
    name: 'a root that only the device knows',
    fails: ['CHAIN_ANCHOR'],
    show: ({ certificates, root }) => ({ certificates: [...certificates, root] }),
    options: () => ({ anchors: [stranger().root] }),
  },
  { name: 'the root behind the chain', fails: [], show: ({ certificates, root }) => ({ certificates: [...certificates, root] }) },
  {
    name: 'the root alone',
    fails: ['CHAIN_ANCHOR', 'MEASURED', 'PROOF_SIGNATURE'],
    show: ({ root, keys }) => ({ certificates: [root], leafKey: keys.at(-1) as (typeof keys)[0] }),
  },
  {
    name: 'a leaf that is signed by itself',
    fails: ['CHAIN_ANCHOR'],
    chain: {
      change: at(0, ({ subject }) => ({
        issuer: subject,
        signer: own,
        spki: own.spki,
        innerAlgorithm: algorithmOf(own),
        outerAlgorithm: algorithmOf(own),
      })),
    },
    show: ({ certificates }) => ({ certificates: certificates.slice(0, 1), leafKey: own }),
    options: () => ({ referenceValues: [], allowUnknownLayers: true }),
  },
  {
    name: 'a flipped bit of a signature',
    fails: ['CERT_SIGNATURE'],
    chain: { algorithm: 'Ed25519' },
    show: bytes(2, flipLast),
  },
  {
    name: 'another algorithm inside of what is signed',
    fails: ['CERT_ALGORITHM_TWICE'],
    chain: { algorithm: 'P-256', change: at(0, () => ({ innerAlgorithm: algorithm(signatureOid.ecdsaSha384) })) },
  },
  {
    name: 'parameters of NULL, as mbedTLS 2.28 writes them',
    fails: [],
    chain: {
      algorithm: 'P-256',
      change: at(0, () => {
        const written = algorithm(signatureOid.ecdsaSha256, der(0x05))
        return { innerAlgorithm: written, outerAlgorithm: written }
      }),
    },
  },
  {
    name: 'P-256 with SHA-512, as nubificus signs',
    fails: [],
    chain: {
      algorithm: 'P-256',
      change: at(0, () => {
        const written = algorithm(signatureOid.ecdsaSha512)
        return { innerAlgorithm: written, outerAlgorithm: written, hash: 'sha512' as const }
      }),
    },
  },
  {
    name: 'P-384 with SHA-256',
    fails: ['CERT_ALGORITHM'],
    chain: {
      algorithm: 'P-384',
      change: at(0, () => {
        const written = algorithm(signatureOid.ecdsaSha256)
        return { innerAlgorithm: written, outerAlgorithm: written, hash: 'sha256' as const }
      }),
    },
  },
  {
    name: 'a signature with SHA-1',
    fails: ['CERT_ALGORITHM', 'CERT_SIGNATURE'],
    chain: {
      algorithm: 'P-256',
      change: at(0, () => {
        const written = algorithm('1.2.840.10045.4.1')
        return { innerAlgorithm: written, outerAlgorithm: written, hash: 'sha1' as const }
      }),
    },
  },
  {
    name: 'an RSA key of 1024 bits',
    fails: ['CERT_KEY', 'PROOF_SIGNATURE'],
    chain: { change: at(0, () => ({ spki: rsa() })) },
  },
  {
    name: 'a point that is not on P-256',
    fails: ['CERT_KEY', 'PROOF_SIGNATURE'],
    chain: { algorithm: 'P-256', change: at(0, ({ spki }) => ({ spki: flipLast(spki) })) },
  },
  {
    name: 'another issuer name over a good signature',
    fails: ['CERT_ISSUER'],
    chain: { change: at(0, () => ({ issuer: derName({ commonName: 'Somebody else' }) })) },
  },
  {
    name: 'another authority key identifier',
    fails: ['CERT_KEY_ID'],
    chain: { change: at(0, exchange(extensionOid.authorityKeyIdentifier, der(0x30, derOctets(new Uint8Array(20), 0x80)))) },
  },
  {
    name: 'an issuer with CA:FALSE',
    fails: ['CERT_AUTHORITY'],
    chain: { change: at(1, exchange(extensionOid.basicConstraints, der(0x30))) },
  },
  {
    name: 'an issuer without basicConstraints',
    fails: ['CERT_AUTHORITY'],
    chain: { change: at(2, exchange(extensionOid.basicConstraints, null)) },
  },
  {
    name: 'an issuer without keyCertSign',
    fails: ['CERT_KEY_CERT_SIGN'],
    chain: { change: at(1, exchange(extensionOid.keyUsage, Uint8Array.of(0x03, 0x02, 0x07, 0x80))) },
  },
  {
    name: 'a leaf that has issued another',
    fails: ['CERT_AUTHORITY', 'CERT_KEY_CERT_SIGN'],
    chain: {
      change: (parts, index) =>
        index !== 1
          ? parts
          : {
              ...parts,
              ...exchange(
                extensionOid.basicConstraints,
                der(0x30),
              )({
                ...parts,
                ...exchange(extensionOid.keyUsage, Uint8Array.of(0x03, 0x02, 0x07, 0x80))(parts),
              }),
            },
    },
  },
  {
    name: 'a root that allows no authority below it',
    fails: ['CERT_PATH_LENGTH'],
    chain: { change: at(4, exchange(extensionOid.basicConstraints, authority(0))) },
  },
  {
    name: 'an authority that allows one below it, of two',
    fails: ['CERT_PATH_LENGTH'],
    chain: { change: at(3, exchange(extensionOid.basicConstraints, authority(1))) },
  },
  { name: 'a path just long enough', fails: [], chain: { change: at(4, exchange(extensionOid.basicConstraints, authority(3))) } },
  {
    name: 'a certificate that is not valid yet',
    fails: ['CERT_NOT_BEFORE'],
    chain: { change: at(0, () => ({ notBefore: new Date('2026-06-01T00:00:01Z') })) },
  },
  {
    name: 'a clock that is ahead by less than what is allowed',
    fails: [],
    chain: { change: at(0, () => ({ notBefore: new Date('2026-06-01T00:00:01Z') })) },
    options: () => ({ notBeforeSkewMs: 1000 }),
  },
  {
    name: 'a certificate that has expired',
    fails: ['CERT_NOT_AFTER'],
    chain: { change: at(2, () => ({ notAfter: new Date('2026-05-31T23:59:59Z') })) },
  },
  {
    name: 'a root that has expired',
    fails: ['CERT_NOT_AFTER'],
    chain: { change: at(4, () => ({ notAfter: new Date('2026-05-31T23:59:59Z') })) },
  },
  {
    name: 'a name outside of what the authority may issue',
    fails: ['CERT_NAME_CONSTRAINTS'],
    chain: {
      change: (parts, index) =>
        index === 1
          ? { ...parts, extensions: [...parts.extensions, constraint(0xa0, derText('example.com', 0x82))] }
          : index === 0
            ? { ...parts, extensions: [...parts.extensions, altName(derText('lamp.example.org', 0x82))] }
            : parts,
    },
  },
  {
    name: 'a name that the authority may not issue',
    fails: ['CERT_NAME_CONSTRAINTS'],
    chain: { change: at(3, ({ extensions, signer }) => ({ extensions: [...extensions, constraint(0xa0, der(0xa4, nameOf(signer)))] })) },
  },
  {
    name: 'a name within what the authority may issue',
    fails: [],
    chain: {
      change: (parts, index) =>
        index === 1
          ? { ...parts, extensions: [...parts.extensions, constraint(0xa0, derText('example.com', 0x82))] }
          : index === 0
            ? { ...parts, extensions: [...parts.extensions, altName(derText('lamp.example.com', 0x82))] }
            : parts,
    },
  },
  {
    name: 'certificates out of order',
    fails: ['CERT_ISSUER', 'CERT_KEY_ID', 'CERT_SIGNATURE', 'CHAIN_ANCHOR'],
    show: ({ certificates: [a, b, c, d] }) => ({ certificates: [a, c, d, b] as Uint8Array[] }),
  },
  {
    name: 'a certificate that is left out',
    fails: ['CERT_ISSUER', 'CERT_KEY_ID', 'CERT_SIGNATURE'],
    show: ({ certificates: [a, , c, d] }) => ({ certificates: [a, c, d] as Uint8Array[] }),
  },
]
