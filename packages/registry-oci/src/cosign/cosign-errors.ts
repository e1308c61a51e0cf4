import { errorsOf } from '@reflash/core'

/**
 * Every code of cosign signing and verifying. The `SIGNATURE_*` codes also begin the reasons of the verifier's checks, which are data:
 * the verifier throws for nothing that an untrusted registry sends.
 */
export const cosignErrors = {
  PUBLIC_KEY_INVALID: {
    fault: 'invalid',
    means: 'A public key cannot be read, or is of a kind that cosign signatures do not use.',
    next: 'Pass the `-----BEGIN PUBLIC KEY-----` file (cosign.pub): RSA, ECDSA P-256, P-384 or P-521, or Ed25519.',
  },
  PUBLIC_KEY_WEAK: {
    fault: 'invalid',
    means: 'A public key is so weak that signatures made with it could be forged.',
    next: 'Make a new key pair: RSA needs 2048 to 8192 bits and a public exponent of at least 65537.',
  },
  VERIFIER_OPTIONS_INVALID: {
    fault: 'invalid',
    means: 'The options of a cosign verifier contradict each other or are out of range.',
    next: 'The message names the option.',
  },
  KEY_FILE_INVALID: {
    fault: 'invalid',
    means: 'A private key file is damaged or has another format.',
    next: 'Pass a cosign.key file (`ENCRYPTED SIGSTORE PRIVATE KEY`) as `reflash keygen` or `cosign generate-key-pair` writes it.',
  },
  KEY_FILE_TOO_COSTLY: {
    fault: 'invalid',
    means: 'A private key file asks for more memory or time to open than any honest file needs.',
    next: 'Do not trust this file. cosign writes N=65536, r=8, p=1.',
  },
  KEY_PASSWORD_WRONG: {
    fault: 'invalid',
    means: 'The password does not open the private key file, or the file was altered.',
    next: 'Check COSIGN_PASSWORD; a file made without a password has the empty one.',
  },
  KEY_ENCRYPTED: {
    fault: 'invalid',
    means: 'An encrypted private key was given where an unencrypted one was expected.',
    next: 'Open it with its password (`openKey`).',
  },
  KEY_NOT_ENCRYPTED: {
    fault: 'invalid',
    means: 'An unencrypted private key was given where an encrypted one was expected.',
    next: 'Encrypt it first (`encryptKey`), or say that it may lie open (`openUnencryptedKey`).',
  },
  SIGNING_KEY_MISMATCH: {
    fault: 'invalid',
    means: 'A signing key made a signature which its own public key does not verify.',
    next: 'Look at the key or the device that holds it; nothing was pushed.',
  },
  SIGNING_OPTIONS_INVALID: {
    fault: 'invalid',
    means: 'What is to be signed, or a claim that is to be signed with it, is not something that other verifiers could read.',
    next: 'The message names the option.',
  },
  SIGNING_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The registry plugin cannot write, so that a signature cannot be stored.',
    next: 'Sign through a registry that has `push` and `tag`.',
  },
  SIGNATURE_TAG_OCCUPIED: {
    fault: 'invalid',
    means: 'The tag where signatures belong holds something else.',
    next: 'Nothing was overwritten. Look at what the tag holds, and delete it if nobody needs it.',
  },
  SIGNATURES_FULL: {
    fault: 'invalid',
    means: 'An artifact has as many signatures as a verifier tries; another one would never be looked at.',
    next: 'Delete signatures of retired keys.',
  },
  SIGNATURE_LOST: {
    fault: 'unavailable',
    means: 'Other signers kept replacing the signatures of this artifact while this one was being added.',
    next: 'Sign again; let one signer at a time sign one artifact.',
  },
  SIGNATURE_NOT_FOUND: {
    fault: 'rejected',
    means: 'The artifact is not signed.',
    next: 'Sign it (`reflash sign`), or look whether its signature was deleted or left behind when it was copied.',
  },
  SIGNATURE_UNREADABLE: {
    fault: 'rejected',
    means: 'The registry refuses to hand out a signature, or hands out other bytes than were asked for.',
    next: 'Check the credentials, and look for a broken or hostile registry or proxy.',
  },
  SIGNATURE_MANIFEST_INVALID: {
    fault: 'rejected',
    means: 'The tag where signatures belong points at something that is not a signature manifest.',
    next: 'Sign the artifact again with cosign, skopeo or `reflash sign`.',
  },
  SIGNATURE_INVALID: {
    fault: 'rejected',
    means: 'A signature is malformed or incomplete.',
    next: 'Sign the artifact again with cosign, skopeo or `reflash sign`.',
  },
  SIGNATURE_OTHER_KEY: {
    fault: 'rejected',
    means: 'The artifact has a signature which none of the configured keys made.',
    next: 'Check which key signs your releases; if it is the right one, the signature or its payload was altered.',
  },
  SIGNATURE_PAYLOAD_INVALID: {
    fault: 'rejected',
    means: 'What was signed is not a container signature payload, or could be read in more than one way.',
    next: 'Look at what else the key signs: a signing key for releases should sign nothing else.',
  },
  SIGNATURE_OTHER_ARTIFACT: {
    fault: 'rejected',
    means: 'A genuine signature of another artifact was put in the place of this one.',
    next: 'Alert: somebody who can write to the repository tries to pass one artifact off as another.',
  },
  SIGNATURE_OTHER_IDENTITY: {
    fault: 'rejected',
    means: 'The signature was made for another repository, and the verifier is told to compare.',
    next: 'Sign the artifact in this repository, or set `identity` to the repository that it is signed for.',
  },
  SIGNATURE_THRESHOLD: {
    fault: 'rejected',
    means: 'Fewer different keys have signed the artifact than are required.',
    next: 'Let the other signers sign it too.',
  },
  SIGNATURE_UNREACHABLE: {
    fault: 'unavailable',
    means: 'The registry could not be asked for the signatures.',
    next: 'Try again later; nothing was decided.',
  },
} as const

export const fail = errorsOf(cosignErrors)
