import { appraiseChain, type ReferenceValue, type TrustAnchor } from '@reflash/attest-dice'
import { readDer } from '../../src/x509/der.ts'
import { vector } from './vectors.ts'

/** How a file is shown: with the certificates above it, under what is trusted, and what is known of the layers. */
export interface VectorChain {
  readonly file: string
  readonly above?: readonly string[]
  /** A certificate or key file, or the key of a certificate request. */
  readonly anchor: string
}

const p256 = (name: string): string => `opendice-p256-chain/${name}.der`
const veraison = (name: string): string => `veraison-opendice-chain/_X509_Ed25519_${name}.cert`
const open = (name: string): string => `opendice-known/${name}.der`
const caliptra = (name: string): string => `caliptra/${name}.der`

/** Every file in DER of the vectors, in the chain that it belongs to. */
export const vectorChains: readonly VectorChain[] = [
  { file: caliptra('ldevid_cert_ecc'), anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('fmc_alias_cert_ecc'), above: [caliptra('ldevid_cert_ecc')], anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('ldevid_cert_mldsa'), anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('fmc_alias_cert_mldsa'), above: [caliptra('ldevid_cert_mldsa')], anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('fmc_alias_cert_redacted'), above: [caliptra('ldevid_cert_ecc')], anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('rt_alias_cert_redacted'), above: [caliptra('fmc_alias_cert_redacted')], anchor: caliptra('ldevid_cert_ecc') },
  { file: caliptra('idevid_csr_ecc'), anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('idevid_csr_mldsa'), anchor: caliptra('idevid_csr_ecc') },
  { file: caliptra('fmc_alias_csr_redacted'), anchor: caliptra('idevid_csr_ecc') },
  { file: 'oxide/alias.cert.der', anchor: 'oxide/ca.cert.der' },
  { file: 'oxide/ca.cert.der', anchor: 'oxide/ca.cert.der' },
  { file: 'riot/riot-ext.der', anchor: 'oxide/ca.cert.der' },
  ...(['ZeroInput', 'HashOnlyInput', 'DescriptorInput'] as const).flatMap((input) => [
    { file: open(`X509Ed25519Cert_${input}`), anchor: open(`authority_ed25519_${input}.spki`) },
    { file: open(`X509P256Cert_${input}`), anchor: open(`authority_ed25519_${input}.spki`) },
    { file: open(`X509Mldsa65Cert_${input}`), anchor: open(`authority_ed25519_${input}.spki`) },
  ]),
  { file: p256('l0-uds-root-selfsigned'), anchor: p256('l0-uds-root-selfsigned') },
  { file: p256('l1-cdi-bootloader'), anchor: p256('l0-uds-root-selfsigned') },
  { file: p256('l2-cdi-application'), above: [p256('l1-cdi-bootloader')], anchor: p256('l0-uds-root-selfsigned') },
  { file: p256('l3-cdi-task'), above: [p256('l2-cdi-application'), p256('l1-cdi-bootloader')], anchor: p256('l0-uds-root-selfsigned') },
  { file: veraison('uds_cert'), anchor: veraison('uds_cert') },
  ...[0, 1, 2, 3, 4, 5, 6].map((length) => ({
    file: veraison(`cert_full_cert_chain_${length}`),
    above: Array.from({ length }, (_, index) => veraison(`cert_full_cert_chain_${length - 1 - index}`)),
    anchor: veraison('uds_cert'),
  })),
]

// The key of a certificate request: { { version, subject, key, ... }, ... }.
function anchorOf(folder: string, name: string): TrustAnchor {
  const bytes = vector(folder, name)
  const isRequest = name.includes('_csr_')
  return { certificate: isRequest ? (readDer(bytes).children[0]?.children[2]?.whole ?? bytes) : bytes, is: 'device' }
}

/** Judges one, by its own measurements as reference values, so that everything else of it is judged. */
export function judgeVector(folder: string, { file, above = [], anchor }: VectorChain, allowCdiLeaf: boolean) {
  const input = {
    certificates: [file, ...above].map((name) => vector(folder, name)),
    anchors: [anchorOf(folder, anchor)],
    now: new Date('2026-06-01T00:00:00Z'),
    proof: 'not-asked' as const,
    policy: { allowCdiLeaf },
  }
  const { measurements } = appraiseChain({ ...input, referenceValues: [] })
  const referenceValues = measurements.map(({ environment, digests }): ReferenceValue => ({ environment, fwids: digests }))
  return appraiseChain({ ...input, referenceValues })
}
