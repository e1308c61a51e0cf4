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
  PLATFORM_NOT_FOUND: {
    fault: 'invalid',
    means: 'An index has no manifest for any of the platforms asked for.',
    next: 'Push the artifact for this platform too, or ask for one of the candidates that the message names.',
  },
  PLATFORM_AMBIGUOUS: {
    fault: 'invalid',
    means: 'More than one manifest of an index fits, and none is better than the others.',
    next: 'Name the platform; where one platform is listed twice, push the index again.',
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
  JOURNAL_CONFLICT: {
    fault: 'unavailable',
    means: 'Another writer changed a journal entry first.',
    next: 'Read the entry again and decide anew.',
  },
  JOURNAL_UNAVAILABLE: {
    fault: 'unavailable',
    means: 'The journal cannot read or write: its disk is full, read-only or failing, or another process holds its lock.',
    next: 'Look at the cause and free space or permissions; what was acknowledged before is kept.',
  },
  INVALID_KEY: {
    fault: 'invalid',
    means: 'A journal key is empty, longer than 512 bytes, or has characters other than printable ASCII.',
    next: 'Encode names from outside, for example with encodeURIComponent, before they become part of a key.',
  },
  INVALID_VALUE: {
    fault: 'invalid',
    means: 'A journal value is not JSON, or its expiry is not a date.',
    next: 'Store plain data: no undefined, function, bigint or cycle at the top.',
  },
  NOT_FOUND: {
    fault: 'invalid',
    means: 'The registry has no such repository, tag, manifest or blob.',
    next: 'Look at the reference for a typing mistake, or push the artifact first.',
  },
  REGISTRY_UNAVAILABLE: {
    fault: 'unavailable',
    means: 'The registry does not answer.',
    next: 'Nothing was changed; the call can be made again later.',
  },
  INVALID_MANIFEST: {
    fault: 'invalid',
    means: 'An image manifest or index is not what the OCI image specification describes.',
    next: 'Push the artifact again with a tool that follows the OCI image specification.',
  },
  INVALID_RANGE: {
    fault: 'invalid',
    means: 'A byte range lies outside the image.',
    next: 'Ask for a range within the size that the descriptor names.',
  },
  INVALID_OPTIONS: {
    fault: 'invalid',
    means: 'An option of a factory has the wrong type or lies outside its bounds.',
    next: 'Correct the option that the message names.',
  },
  CACHE_FULL: {
    fault: 'unavailable',
    means: 'Content does not fit into the cache, or all that is in it is in use.',
    next: 'Raise `limitBytes` of the cache, or wait until running transfers end.',
  },
  CACHE_UNAVAILABLE: {
    fault: 'unavailable',
    means: 'The cache cannot read or write its directory: the disk is full, read-only or failing.',
    next: 'Look at the cause, free space or name another directory; nothing half-written was served.',
  },
  CACHE_IN_USE: {
    fault: 'unavailable',
    means: 'Another process uses the directory of the cache.',
    next: 'Give each process a directory of its own, or end the other process.',
  },
  BROKEN_PLUGIN: {
    fault: 'internal',
    means: 'A plugin broke its contract.',
    next: 'Report it to the author of the plugin that the message names; run the conformance suite on it.',
  },
  ABORTED: { fault: 'aborted', means: 'The caller cancelled.', next: 'Nothing; what was journaled stays and can be resumed.' },
} as const

export const fail = errorsOf(coreErrors)
