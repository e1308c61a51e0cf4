import { errorsOf } from '@reflash/core'

/** Every code that this package throws beside core's. docs/errors.md is generated from this table. */
export const swupdateErrors = {
  NOT_SWU: {
    fault: 'invalid',
    means: 'A file is not a cpio archive with checksums ("070702"), as SWUpdate reads it.',
    next: 'Make it with `cpio -o -H crc`, sw-description first.',
  },
  SWU_CUT: { fault: 'invalid', means: 'An archive ends before its trailer, or has bytes behind it.', next: 'Make or copy it again.' },
  SWU_LIMIT: {
    fault: 'invalid',
    means: 'An archive has more members, or a larger description, than any update needs.',
    next: 'Look what was packed into it.',
  },
  SWU_ORDER: {
    fault: 'invalid',
    means: 'sw-description is not the first member, its signature not the second, or a member comes twice.',
    next: 'Pack sw-description, sw-description.sig, then the images.',
  },
  SWU_CHECKSUM: {
    fault: 'invalid',
    means: 'The bytes of a member do not add up to its checksum.',
    next: 'Make or copy the archive again.',
  },
  SW_DESCRIPTION_INVALID: {
    fault: 'invalid',
    means: 'sw-description is not libconfig, or lacks what SWUpdate needs.',
    next: 'Mend it at the line that the message names.',
  },
  SWU_HASH_MISSING: {
    fault: 'invalid',
    means: 'sw-description binds an image by no SHA-256: its signature does not cover it.',
    next: 'Add `sha256 = "..."` to the image; SWUpdate refuses it otherwise, too.',
  },
  SWU_HASH_MISMATCH: {
    fault: 'rejected',
    means: 'An image of the archive is not the one that sw-description names by its SHA-256.',
    next: 'Pack the image that was described; somebody may have exchanged it.',
  },
  SWU_IMAGE_MISSING: {
    fault: 'invalid',
    means: 'sw-description names an image that the archive does not hold.',
    next: 'Pack it, or take it out of sw-description.',
  },
  SWU_UNSIGNED: {
    fault: 'rejected',
    means: 'The archive has no sw-description.sig.',
    next: 'Sign sw-description with `openssl cms -sign`; devices refuse it otherwise, too.',
  },
  SWU_SIGNATURE_INVALID: {
    fault: 'rejected',
    means: 'No signer that this target trusts has signed sw-description as it is.',
    next: 'Sign it with the key of a certificate in `signers`; somebody may have changed it.',
  },
  SWU_WRONG_HARDWARE: {
    fault: 'invalid',
    means: 'hardware-compatibility of the update does not name the hardware of the device.',
    next: 'Push an update for this hardware.',
  },
  SWU_WRONG_MODEL: {
    fault: 'invalid',
    means: 'The device is of a model that this target does not serve.',
    next: 'Add the model to `models`.',
  },
  SWU_PLAN_INVALID: { fault: 'invalid', means: 'A stored plan is not one of this target.', next: 'Start the update anew.' },
} as const

export const fail = errorsOf(swupdateErrors)
