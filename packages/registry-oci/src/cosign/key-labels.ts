/** The PEM labels of encrypted key files: cosign writes the first since 2.0 and reads both; skopeo 1.14 writes the second. */
export const encryptedLabels: readonly string[] = ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY']
