import { createHash, sign } from 'node:crypto'
import type { Evidence, Purpose } from '@reflash/core'
import { fail } from '../dice-errors.ts'
import { type DiceProof, encodeEvidence } from '../evidence.ts'
import { contextOf, proofMessage } from '../proof.ts'
import { extensionOid, keyPurpose } from '../x509/oids.ts'
import { algorithmFor, type KeyKind } from '../x509/public-key.ts'
import { type DiceKey, diceKey } from './device-key.ts'
import { der, derOid } from './encode-der.ts'
import { type CertificateParts, goodParts, issueCertificate, nameOf, type WrittenExtension } from './issue-certificate.ts'
import { androidConfig, openDiceExtension, tcbExtension, ueidExtension, type WrittenInput, type WrittenLayer } from './write-claims.ts'

/** One layer, or several that are measured in one certificate. */
export type ChainLayer = WrittenLayer | readonly WrittenLayer[]

export interface ChainOptions {
  /** TCG: root, authority, DeviceID, layers. Open DICE: UDS as root, one CDI certificate for each layer, and an attestation key. */
  readonly profile?: 'tcg' | 'open-dice'
  readonly algorithm?: KeyKind
  /** The algorithm of single certificates, from the leaf (0) to the root, where they differ. */
  readonly algorithms?: readonly (KeyKind | undefined)[]
  /** Decides every key of the device: the unique device secret. */
  readonly secret?: string
  /** Decides the keys of root and authority. */
  readonly maker?: string
  /** From the root to the leaf; the last is the leaf's. */
  readonly layers: readonly ChainLayer[]
  readonly ueid?: Uint8Array
  /** Open DICE: whether the last CDI certificate is the leaf itself, without an attestation key. */
  readonly cdiLeaf?: boolean
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Changes what is written into a certificate before it is signed; 0 is the leaf, the last index is the root. */
  readonly change?: (parts: CertificateParts, index: number) => CertificateParts
}

/** A chain with everything that made it. */
export interface IssuedChain {
  /** DER, leaf first, without the root. */
  readonly certificates: readonly Uint8Array[]
  readonly root: Uint8Array
  readonly rootPem: string
  readonly leafKey: DiceKey
  /** Leaf first; the root's is the last. */
  readonly keys: readonly DiceKey[]
  readonly parts: readonly CertificateParts[]
}

interface Rung {
  readonly key: DiceKey
  readonly subject: Uint8Array
  readonly authority: boolean
  readonly extensions: readonly WrittenExtension[]
}

/**
 * Issues a chain as a factory and a device together do: the keys of the layers follow from the secret and from what is measured.
 * @throws `ISSUE_INVALID`
 */
export function issueChain(options: ChainOptions): IssuedChain {
  if (options.layers.length === 0) throw fail('ISSUE_INVALID', 'layers: expected at least one, found none')
  const { notBefore = new Date('2023-01-01T00:00:00Z'), notAfter = new Date('9999-12-31T23:59:59Z'), change = (parts) => parts } = options
  const rungs = options.profile === 'open-dice' ? openDiceRungs(options) : tcgRungs(options)
  const parts = rungs.map((rung, index) => {
    const issuer = rungs[Math.max(0, index - 1)] as Rung
    return change(goodParts(rung.key, issuer, { ...rung, notBefore, notAfter }), rungs.length - 1 - index)
  })
  const [root = new Uint8Array(), ...certificates] = parts.map(issueCertificate)
  return {
    certificates: certificates.reverse(),
    root,
    rootPem: pemOf(root),
    leafKey: (rungs.at(-1) as Rung).key,
    keys: rungs.map(({ key }) => key).reverse(),
    parts: parts.reverse(),
  }
}

/** How many certificates a chain has with its root. */
function lengthOf({ profile, layers, cdiLeaf }: ChainOptions): number {
  if (profile === 'open-dice') return layers.length + (cdiLeaf === true ? 1 : 2)
  return layers.length + 3
}

function keysOf(options: ChainOptions): (fromRoot: number, secret: string) => DiceKey {
  const { algorithm = 'P-256', algorithms = [] } = options
  const length = lengthOf(options)
  return (fromRoot, secret) => diceKey(algorithms[length - 1 - fromRoot] ?? algorithm, secret)
}

function tcgRungs(options: ChainOptions): readonly Rung[] {
  const { layers, secret = 'device', maker = 'maker', ueid } = options
  const key = keysOf(options)
  const rung = (at: number, from: string, name: string, authority: boolean, extensions: readonly WrittenExtension[]): Rung => {
    const made = key(at, from)
    return { key: made, subject: nameOf(made, name), authority, extensions }
  }
  const identity = ueid === undefined ? [] : [ueidExtension(ueid)]
  let cdi = secret
  return [
    rung(0, `${maker} root`, 'Root', true, []),
    rung(1, `${maker} authority`, 'Authority', true, []),
    rung(2, `${maker} ${secret} device id`, 'DeviceID', true, [policies(keyPurpose.identityInit), ...identity]),
    ...layers.map((layer, index) => {
      const isLeaf = index === layers.length - 1
      const list = Array.isArray(layer) ? layer : [layer as WrittenLayer]
      cdi = createHash('sha256')
        .update(`${cdi} ${JSON.stringify(layer)}`)
        .digest('hex')
      const extensions = [tcbExtension(list), policies(isLeaf ? keyPurpose.attestInit : keyPurpose.identityLoc)]
      return rung(3 + index, `${maker} ${cdi}`, `Layer ${index + 1}`, !isLeaf, isLeaf ? extensions : extensions.slice(0, 1))
    }),
  ]
}

function openDiceRungs(options: ChainOptions): readonly Rung[] {
  const { layers, secret = 'device', maker = 'maker', cdiLeaf = false } = options
  const key = keysOf(options)
  const rung = (at: number, from: string, authority: boolean, extensions: readonly WrittenExtension[]): Rung => {
    const made = key(at, from)
    return { key: made, subject: nameOf(made), authority, extensions }
  }
  let cdi = `${maker} ${secret}`
  const rungs = [
    rung(0, `${cdi} uds`, true, []),
    ...layers.map((layer, index) => {
      cdi = createHash('sha256')
        .update(`${cdi} ${JSON.stringify(layer)}`)
        .digest('hex')
      return rung(1 + index, cdi, true, [openDiceExtension(inputOf(Array.isArray(layer) ? layer[0] : (layer as WrittenLayer)))])
    }),
  ]
  return cdiLeaf ? rungs : [...rungs, rung(rungs.length, `${cdi} attestation`, false, [])]
}

const openDiceModes = { notConfigured: 0, debug: 2, recovery: 3, notSecure: 7 } as const

function inputOf({ fwids = [], modes = [], svn }: WrittenLayer): WrittenInput {
  const [mode] = modes
  return {
    codeHash: Buffer.from(fwids[0]?.digest ?? '00'.repeat(64), 'hex'),
    mode: mode === undefined ? 1 : openDiceModes[mode],
    ...(svn === undefined ? {} : { configDescriptor: androidConfig(svn) }),
  }
}

/** A certificatePolicies extension of one policy. */
export function policies(oid: string): WrittenExtension {
  return { oid: extensionOid.certificatePolicies, critical: false, value: der(0x30, der(0x30, derOid(oid))) }
}

/** A certificate as PEM. */
export function pemOf(certificate: Uint8Array): string {
  const base64 = Buffer.from(certificate).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
}

/** Signs bytes as a device does: ECDSA with the hash of its curve, in DER, or Ed25519. */
export function signWith({ kind, privateKey }: DiceKey, message: Uint8Array): Uint8Array {
  const algorithm = algorithmFor(kind)
  return new Uint8Array(sign(algorithm.name === 'ecdsa' ? algorithm.hash : null, message, privateKey))
}

/** What a device is asked to prove. */
export interface ProofChallenge {
  readonly nonce: Uint8Array
  readonly purpose: Purpose
  readonly deviceId: string
}

/** Evidence as a device makes it: the chain, and a proof by the key of its leaf, or by another. */
export function evidenceOf(
  { certificates, leafKey }: Pick<IssuedChain, 'certificates' | 'leafKey'>,
  { nonce, purpose, deviceId }: ProofChallenge,
  claimed: Partial<DiceProof> = {},
): Evidence {
  const message = proofMessage(nonce, certificates[0] ?? new Uint8Array(), contextOf({ purpose, deviceId }))
  return encodeEvidence({ certificates, proof: { nonce, purpose, deviceId, signature: signWith(leafKey, message), ...claimed } })
}
