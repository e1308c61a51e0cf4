import { errorsOf } from '@reflash/core'

/** Every code of this package: what it throws, and the names of the checks of an appraisal, which are the codes of their failures. */
export const diceErrors = {
  EVIDENCE_INVALID: {
    fault: 'invalid',
    means: 'Evidence is not the JSON that this verifier reads, or larger than any chain that it takes.',
    next: 'Build it as the table in the README says; nothing was appraised.',
  },
  CERTIFICATES_INVALID: {
    fault: 'invalid',
    means: 'A file or text holds no certificate or public key in PEM or DER.',
    next: 'Give PEM blocks of one certificate each, or one certificate in DER.',
  },
  REFERENCE_VALUES_INVALID: {
    fault: 'invalid',
    means: 'Reference values are not a list of environments with their digests.',
    next: 'Write them as the README shows.',
  },
  DICE_OPTIONS_INVALID: {
    fault: 'invalid',
    means: 'An option of the verifier cannot be what it is.',
    next: 'Read what the message expects.',
  },
  ISSUE_INVALID: {
    fault: 'invalid',
    means: 'A chain for tests is described in a way in which none can be issued.',
    next: 'Read what the message expects.',
  },
  CHAIN_LIMITS: {
    fault: 'rejected',
    means: 'A chain has no certificate or too many, or a certificate has too many bytes or extensions.',
    next: 'Show only the certificates between the leaf and the anchor.',
  },
  CERT_ENCODING: {
    fault: 'rejected',
    means: 'A certificate is not X.509 in DER, or has bytes behind it.',
    next: 'Encode it in DER: definite lengths, the fewest bytes, nothing behind.',
  },
  CERT_VERSION: { fault: 'rejected', means: 'A certificate with extensions is not of version 3.', next: 'Issue it as version 3.' },
  CERT_SERIAL: {
    fault: 'rejected',
    means: 'A serial number is not positive, or longer than 20 bytes.',
    next: 'Issue it with another serial number (RFC 5280, 4.1.2.2).',
  },
  CERT_EXTENSION_TWICE: {
    fault: 'rejected',
    means: 'A certificate has an extension more than once.',
    next: 'Issue it with one of each (RFC 5280, 4.2).',
  },
  CERT_EXTENSION: {
    fault: 'rejected',
    means: 'A known extension of a certificate cannot be read.',
    next: 'Issue it as RFC 5280 describes.',
  },
  CHAIN_TWICE: { fault: 'rejected', means: 'A certificate is in the chain more than once.', next: 'Show each certificate once.' },
  CHAIN_ANCHOR: {
    fault: 'rejected',
    means: 'No trust anchor has issued the last certificate of the chain; what a device sends is never an anchor.',
    next: 'Ask who made the device, and add the authority only if it should be trusted.',
  },
  CERT_ALGORITHM_TWICE: {
    fault: 'rejected',
    means: 'A certificate names one signature algorithm inside and another outside of what is signed.',
    next: 'Do not use it: it was tampered with, or its maker is broken.',
  },
  CERT_ALGORITHM: {
    fault: 'rejected',
    means: 'A certificate is signed by an algorithm that is not allowed with the key of its issuer.',
    next: 'Sign with ECDSA on P-256 or P-384 and SHA-256, -384 or -512, or with Ed25519.',
  },
  CERT_KEY: {
    fault: 'rejected',
    means: 'A public key is of a kind that is not allowed, or no point of its curve.',
    next: 'Use a key on P-256, P-384 or Ed25519.',
  },
  CERT_SIGNATURE: {
    fault: 'rejected',
    means: "A certificate is not signed by its issuer's key.",
    next: 'Do not trust the device: the certificate was altered or forged.',
  },
  CERT_ISSUER: {
    fault: 'rejected',
    means: 'A certificate names another issuer than the one that follows it.',
    next: 'Show the chain in order, leaf first; names are compared byte by byte.',
  },
  CERT_KEY_ID: {
    fault: 'rejected',
    means: 'The authority key identifier is not the subject key identifier of the issuer.',
    next: 'Show the certificate of the key that signed.',
  },
  CERT_AUTHORITY: {
    fault: 'rejected',
    means: 'A certificate has issued another without being an authority.',
    next: 'Do not trust the device: a leaf may not issue.',
  },
  CERT_KEY_CERT_SIGN: {
    fault: 'rejected',
    means: 'A certificate has issued another, and its key may not sign certificates.',
    next: 'Issue it with keyCertSign (RFC 5280, 4.2.1.3).',
  },
  CERT_PATH_LENGTH: {
    fault: 'rejected',
    means: 'More certificates follow an authority than it may have below it.',
    next: 'Issue the authority with a longer path, or the chain with fewer layers.',
  },
  CERT_NOT_BEFORE: { fault: 'rejected', means: 'A certificate is not valid yet.', next: 'Compare the clocks of server and device maker.' },
  CERT_NOT_AFTER: { fault: 'rejected', means: 'A certificate has expired.', next: 'Renew it.' },
  CERT_NAME_CONSTRAINTS: {
    fault: 'rejected',
    means: 'A certificate has a name that an authority above it may not issue.',
    next: 'Ask the authority for the names it is meant for.',
  },
  CERT_CRITICAL: {
    fault: 'rejected',
    means: 'A certificate has a critical extension that is not understood.',
    next: 'Do not trust it: what it restricts is unknown.',
  },
  LEAF_KEY_USAGE: {
    fault: 'rejected',
    means: 'The key of the leaf is not for signatures, or also for certificates.',
    next: 'Attest with a key of its own; a CDI certificate as leaf must be allowed (`allowCdiLeaf`).',
  },
  LEAF_PURPOSE: {
    fault: 'rejected',
    means: 'The leaf is not made to attest.',
    next: 'Issue it with tcg-dice-kp-attestInit or attestLoc, as policy or as extended key usage.',
  },
  PROFILE: {
    fault: 'rejected',
    means: 'The chain carries claims of another profile than the one expected, or of both.',
    next: 'Set the profile that your devices have.',
  },
  PROOF_PRESENT: {
    fault: 'rejected',
    means: 'No proof came with the chain, which everybody may have copied.',
    next: 'Sign the challenge with the key of the leaf.',
  },
  PROOF_NONCE: {
    fault: 'rejected',
    means: 'The proof is for another nonce: a replay, or too late.',
    next: 'Answer the newest challenge, of at least 16 bytes.',
  },
  PROOF_PURPOSE: {
    fault: 'rejected',
    means: 'The proof was made for another purpose.',
    next: 'Sign the purpose that is asked for.',
  },
  PROOF_DEVICE: {
    fault: 'rejected',
    means: 'The proof was made for another device.',
    next: 'Look for a device that shows what it has of another one.',
  },
  PROOF_SIGNATURE: {
    fault: 'rejected',
    means: 'The proof is not signed by the key of the leaf.',
    next: 'Do not trust the device: it shows a chain whose key it does not have.',
  },
  CLAIMS: {
    fault: 'rejected',
    means: 'A DICE extension cannot be read.',
    next: 'Build it as TCG DICE Attestation Architecture 1.1 or the Open DICE profile describes.',
  },
  MEASURED: {
    fault: 'rejected',
    means: 'No certificate of the chain measures anything.',
    next: 'Show a chain with TcbInfo, MultiTcbInfo or Open DICE inputs.',
  },
  CONFIG_DESCRIPTOR: {
    fault: 'rejected',
    means: 'The configuration hash is not the SHA-512 of the configuration descriptor.',
    next: 'Do not trust the configuration that the device names.',
  },
  DIGEST_ALGORITHM: {
    fault: 'rejected',
    means: 'A measurement is by a hash that is not allowed.',
    next: 'Measure with SHA-256, SHA-384 or SHA-512.',
  },
  DIGEST_LENGTH: {
    fault: 'rejected',
    means: 'A digest is not as long as its algorithm yields.',
    next: 'Do not pad or cut digests.',
  },
  REFERENCE_VALUE: {
    fault: 'rejected',
    means: 'The device runs something that no reference value explains.',
    next: 'Add the reference value if it is good; else repair the device.',
  },
  REQUIRED_LAYER: {
    fault: 'rejected',
    means: 'A layer that must be measured is not.',
    next: 'Look whether the device shows all of its chain.',
  },
  SVN_NEGATIVE: { fault: 'rejected', means: 'A security version is negative.', next: 'Do not trust the device.' },
  SVN_MINIMUM: {
    fault: 'rejected',
    means: 'A security version is missing or below the minimum.',
    next: 'Update the device by other means, or lower the minimum.',
  },
  SVN_REMEMBERED: {
    fault: 'rejected',
    means: 'A security version is lower than this device has shown before.',
    next: 'Look for a rollback: somebody installed an older image.',
  },
  MODE_NOT_CONFIGURED: {
    fault: 'rejected',
    means: 'A layer runs without its security being configured, or does not say.',
    next: 'Finish provisioning the device.',
  },
  MODE_NOT_SECURE: { fault: 'rejected', means: 'A layer runs in a mode that is not secure, or does not say.', next: 'Lock the device.' },
  MODE_DEBUG: { fault: 'rejected', means: 'A layer can be debugged, or does not say.', next: 'Close the debug port.' },
  MODE_RECOVERY: {
    fault: 'rejected',
    means: 'A layer runs in recovery: the device may be repaired, and proves nothing else.',
    next: 'Offer it a repair.',
  },
  LAYER_ORDER: {
    fault: 'rejected',
    means: 'The layers do not ascend from the anchor to the leaf.',
    next: 'Show the chain of one boot, in order.',
  },
  LAYER_GAP: { fault: 'rejected', means: 'A layer that the policy lists is missing.', next: 'Show every layer.' },
  UEID: {
    fault: 'rejected',
    means: 'A UEID is malformed, or two certificates disagree about it.',
    next: 'Use 7 to 33 bytes, the first of them 01, 02 or 03 (RFC 9711, 4.2.1).',
  },
  IDENTITY: {
    fault: 'rejected',
    means: 'The chain is of another device than the one that was enrolled.',
    next: "Look for a device that shows another one's chain; enrol a replaced board anew.",
  },
  REVOKED_CERTIFICATE: { fault: 'rejected', means: 'A certificate was revoked.', next: 'Do not trust the device.' },
  REVOKED_KEY: { fault: 'rejected', means: 'A key was revoked.', next: 'Do not trust the device.' },
  REVOKED_MEASUREMENT: {
    fault: 'rejected',
    means: 'The device runs firmware that was revoked.',
    next: 'Update it by other means.',
  },
} as const

export const fail = errorsOf(diceErrors)
