export { type ArtifactFile, type PushArtifactOptions, type PushedArtifact, pushArtifact } from './artifact.ts'
export { cosignErrors } from './cosign/cosign-errors.ts'
export { type CosignVerifierOptions, cosignVerifier, type KeySource } from './cosign/cosign-verifier.ts'
export { encryptKey, generateKeyPair, type KeyPair, openKey } from './cosign/key-file.ts'
export { type KeyAlgorithm, type KeyIdentity, type PublicKey, parsePublicKey } from './cosign/public-key.ts'
export { type SignedArtifact, type SignOptions, signArtifact } from './cosign/sign-artifact.ts'
export { signatureTag } from './cosign/signature-manifest.ts'
export { openUnencryptedKey, type SigningKey } from './cosign/signing-key.ts'
export { ociErrors } from './oci-errors.ts'
export {
  defaultOciLimits,
  type OciClock,
  type OciCredentials,
  type OciLimits,
  type OciRegistryOptions,
} from './oci-options.ts'
export { type OciRegistry, ociRegistry } from './oci-registry.ts'
