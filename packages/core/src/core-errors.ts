import { errorsOf } from './errors.ts'

/** Every code that core throws. docs/errors.md is generated from this table. */
export const coreErrors = {
  INVALID_DIGEST: {
    fault: 'invalid',
    means: 'A digest is not `sha256:`, `sha384:` or `sha512:` with lower case hex of the right length.',
    next: 'Pass the digest as the registry prints it.',
  },
  INVALID_REFERENCE: {
    fault: 'invalid',
    means: 'A reference cannot be read.',
    next: 'Write `host[:port]/repository[:tag|@digest]` or `oci:<dir>[:tag|@digest]`.',
  },
  INVALID_DESCRIPTOR: {
    fault: 'invalid',
    means: 'A descriptor lacks a field or has one of the wrong type.',
    next: 'Push the artifact again with a tool that follows the OCI image specification.',
  },
  INVALID_PLATFORM: {
    fault: 'invalid',
    means: 'A platform cannot be read.',
    next: 'Write `os/architecture[/variant]`, or the chip alone.',
  },
  DIGEST_MISMATCH: {
    fault: 'rejected',
    means: 'Content does not have the digest it was asked for by.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy.',
  },
  SIZE_MISMATCH: {
    fault: 'rejected',
    means: 'Content is shorter or longer than its descriptor says.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy.',
  },
  TOO_LARGE: {
    fault: 'invalid',
    means: 'Input is larger than its limit.',
    next: 'The message names the limit and the option that sets it.',
  },
  ABORTED: { fault: 'aborted', means: 'The caller cancelled.', next: 'Nothing; what was journaled stays and can be resumed.' },
} as const

export const fail = errorsOf(coreErrors)
