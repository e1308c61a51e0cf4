import { describe, expect, test } from 'vitest'
import { failed } from './support/appraise.ts'
import { judgeVector, vectorChains } from './support/vector-chains.ts'
import { derFiles, vectorFolder } from './support/vectors.ts'

const folder = vectorFolder()

interface Row {
  readonly tier: 'affirming' | 'contraindicated' | 'none'
  /** Checks that fail where a CDI certificate may be the leaf. */
  readonly fails: readonly string[]
  readonly why: string
}

const cdi: Row = { tier: 'affirming', fails: [], why: 'a good chain, whose leaf is a CDI certificate' }
const known = (more: readonly string[], why: string): Row => ({
  tier: 'contraindicated',
  fails: [...more, 'MODE_NOT_CONFIGURED'],
  why: `a known answer of Open DICE, with mode 0; ${why}`,
})
const request: Row = { tier: 'none', fails: ['CERT_ENCODING'], why: 'a certificate request, no certificate' }
const root: Row = {
  tier: 'contraindicated',
  fails: ['CHAIN_ANCHOR', 'MEASURED'],
  why: 'the anchor itself: everybody has it, and it measures nothing',
}

const table: Readonly<Record<string, Row>> = {
  'caliptra/fmc_alias_cert_ecc.der': {
    tier: 'contraindicated',
    fails: ['CERT_ISSUER', 'LEAF_KEY_USAGE', 'UEID'],
    why: 'its issuer is named "2.0" and calls itself "2.1"; an authority as leaf; a UEID of type 00',
  },
  'caliptra/fmc_alias_cert_mldsa.der': {
    tier: 'contraindicated',
    fails: ['CERT_ISSUER', 'CERT_KEY', 'CERT_SIGNATURE', 'CHAIN_ANCHOR', 'LEAF_KEY_USAGE', 'UEID'],
    why: 'ML-DSA is no allowed algorithm',
  },
  'caliptra/fmc_alias_cert_redacted.der': {
    tier: 'contraindicated',
    fails: ['CERT_SIGNATURE', 'CLAIMS', 'LEAF_KEY_USAGE', 'MEASURED', 'UEID'],
    why: 'blanked values: no signature holds, and TcbInfo is torn',
  },
  'caliptra/fmc_alias_csr_redacted.der': request,
  'caliptra/idevid_csr_ecc.der': request,
  'caliptra/idevid_csr_mldsa.der': request,
  'caliptra/ldevid_cert_ecc.der': {
    tier: 'contraindicated',
    fails: ['LEAF_KEY_USAGE', 'LEAF_PURPOSE', 'MEASURED', 'UEID'],
    why: 'a good signature under a key without name; an identity, which measures nothing, as leaf',
  },
  'caliptra/ldevid_cert_mldsa.der': {
    tier: 'contraindicated',
    fails: ['CERT_KEY', 'CHAIN_ANCHOR', 'LEAF_KEY_USAGE', 'LEAF_PURPOSE', 'MEASURED', 'UEID'],
    why: 'ML-DSA is no allowed algorithm',
  },
  'caliptra/rt_alias_cert_redacted.der': {
    tier: 'contraindicated',
    fails: ['CERT_SIGNATURE', 'CLAIMS', 'LEAF_KEY_USAGE', 'LEAF_PURPOSE', 'MEASURED', 'UEID'],
    why: 'blanked values: no signature holds, and TcbInfo is torn',
  },
  'opendice-known/X509Ed25519Cert_DescriptorInput.der': known([], 'a good signature under the authority'),
  'opendice-known/X509Ed25519Cert_HashOnlyInput.der': known([], 'a good signature under the authority'),
  'opendice-known/X509Ed25519Cert_ZeroInput.der': known([], 'a good signature under the authority'),
  'opendice-known/X509Mldsa65Cert_DescriptorInput.der': known(['CERT_KEY', 'CHAIN_ANCHOR'], 'ML-DSA is no allowed algorithm'),
  'opendice-known/X509Mldsa65Cert_HashOnlyInput.der': known(['CERT_KEY', 'CHAIN_ANCHOR'], 'ML-DSA is no allowed algorithm'),
  'opendice-known/X509Mldsa65Cert_ZeroInput.der': known(['CERT_KEY', 'CHAIN_ANCHOR'], 'ML-DSA is no allowed algorithm'),
  'opendice-known/X509P256Cert_DescriptorInput.der': known(['CHAIN_ANCHOR'], 'its authority is not among the vectors'),
  'opendice-known/X509P256Cert_HashOnlyInput.der': known(['CHAIN_ANCHOR'], 'its authority is not among the vectors'),
  'opendice-known/X509P256Cert_ZeroInput.der': known(['CHAIN_ANCHOR'], 'its authority is not among the vectors'),
  'opendice-p256-chain/l0-uds-root-selfsigned.der': root,
  'opendice-p256-chain/l1-cdi-bootloader.der': cdi,
  'opendice-p256-chain/l2-cdi-application.der': cdi,
  'opendice-p256-chain/l3-cdi-task.der': cdi,
  'oxide/alias.cert.der': {
    tier: 'contraindicated',
    fails: ['CHAIN_ANCHOR', 'DIGEST_ALGORITHM'],
    why: 'a template, whose issuer is not among the vectors; measured by SHA3-256',
  },
  'oxide/ca.cert.der': root,
  'riot/riot-ext.der': { tier: 'none', fails: ['CERT_ENCODING'], why: 'an extension alone, no certificate' },
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_0.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_1.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_2.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_3.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_4.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_5.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_cert_full_cert_chain_6.cert': cdi,
  'veraison-opendice-chain/_X509_Ed25519_uds_cert.cert': root,
}

describe.runIf(folder !== undefined)('the X.509 files of the vectors', () => {
  test('are all in the table', () => {
    const files = derFiles(folder as string)
    expect(files.length).toBeGreaterThan(30)
    expect(Object.keys(table).sort()).toEqual(files)
    expect(vectorChains.map(({ file }) => file).sort()).toEqual(files)
  })

  test.each(vectorChains.map((chain) => [chain.file, chain] as const))('%s is judged as the table says', (file, chain) => {
    const { tier, fails } = table[file] as Row
    const allowed = judgeVector(folder as string, chain, true)
    expect(failed(allowed), JSON.stringify(allowed.checks.filter(({ status }) => status === 'failed'))).toEqual([...fails].sort())
    expect(allowed.tier).toBe(tier)
    // Without leave, a CDI certificate as leaf fails by that, and by nothing else.
    const isCdi = /^(opendice-|veraison-).*(l[123]-cdi|X509\w+Cert|full_cert_chain)/.test(file)
    const strict = judgeVector(folder as string, chain, false)
    expect(failed(strict)).toEqual([...fails, ...(isCdi ? ['LEAF_KEY_USAGE'] : [])].sort())
    expect(strict.tier).not.toBe('affirming')
  })

  test('show the security version that a configuration descriptor of Android carries', () => {
    const chain = vectorChains.find(({ file }) => file.endsWith('l3-cdi-task.der'))
    const { measurements } = judgeVector(folder as string, chain as (typeof vectorChains)[0], true)
    expect(measurements.map(({ environment, svn }) => [environment.layer, svn])).toEqual([
      [1, undefined],
      [2, 7],
      [3, undefined],
    ])
  })
})
