// RFC 5280, RFC 5480, RFC 8410; TCG DICE Attestation Architecture 1.1, annex; google/open-dice.

/** X.509 extensions. */
export const extensionOid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  tcbInfo: '2.23.133.5.4.1',
  ueid: '2.23.133.5.4.4',
  multiTcbInfo: '2.23.133.5.4.5',
  openDiceInput: '1.3.6.1.4.1.11129.2.1.24',
} as const

/** What a key of the device is for: as certificate policy (TCG) or as extended key usage (Caliptra, DPE). */
export const keyPurpose = {
  identityInit: '2.23.133.5.4.100.6',
  identityLoc: '2.23.133.5.4.100.7',
  attestInit: '2.23.133.5.4.100.8',
  attestLoc: '2.23.133.5.4.100.9',
} as const

/** Arc of every tcg-dice-kp. */
export const keyPurposeArc = '2.23.133.5.4.100.'

export const keyOid = {
  ecPublicKey: '1.2.840.10045.2.1',
  p256: '1.2.840.10045.3.1.7',
  p384: '1.3.132.0.34',
  ed25519: '1.3.101.112',
} as const

export const signatureOid = {
  ecdsaSha256: '1.2.840.10045.4.3.2',
  ecdsaSha384: '1.2.840.10045.4.3.3',
  ecdsaSha512: '1.2.840.10045.4.3.4',
  ed25519: '1.3.101.112',
} as const

/** Hashes that a measurement may be by, with the bytes of their digests. */
export const hashOid: Readonly<Record<string, { readonly hashAlg: string; readonly digestBytes: number }>> = {
  '2.16.840.1.101.3.4.2.1': { hashAlg: 'sha256', digestBytes: 32 },
  '2.16.840.1.101.3.4.2.2': { hashAlg: 'sha384', digestBytes: 48 },
  '2.16.840.1.101.3.4.2.3': { hashAlg: 'sha512', digestBytes: 64 },
}
