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
    means: 'Content has the right digest and another size than is said of it, or was read or read back with another size.',
    next: 'Nothing was used. Look at what names this size: a descriptor, or whoever answers for the registry or the device.',
  },
  TRUNCATED: {
    fault: 'rejected',
    means: 'Content ends before the size that its descriptor names.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy, or for a disk that was full.',
  },
  TRAILING_BYTES: {
    fault: 'rejected',
    means: 'Content goes on past the size that its descriptor names: something was appended, or it does not end.',
    next: 'Nothing was used. Look for a hostile registry or proxy.',
  },
  TOO_LARGE: {
    fault: 'invalid',
    means: 'Input is larger than its limit.',
    next: 'The message names the limit and the option that sets it.',
  },
  MANIFEST_TOO_LARGE: {
    fault: 'invalid',
    means: 'A manifest, an index or a signature is larger than the 4 MiB that are read of one, or does not end.',
    next: 'The limit is fixed. Look for a hostile registry, or for an artifact of another kind.',
  },
  TOO_MANY_TAGS: {
    fault: 'invalid',
    means: 'A list of tags has more entries, pages or bytes than are read of one, or does not end.',
    next: 'Remove old tags, or raise the limit where the message names its option; where there are not so many, look for a hostile registry.',
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
  SQLITE_MISSING: {
    fault: 'unsupported',
    means: 'The runtime has no `node:sqlite`.',
    next: 'Run Node 22.22.2 or newer, built with SQLite.',
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
  FLEET_CONFLICT: {
    fault: 'unavailable',
    means: 'Another writer changed a device or a deployment first, or an id is taken.',
    next: 'Read it again and decide anew; give a new deployment another id.',
  },
  FLEET_UNAVAILABLE: {
    fault: 'unavailable',
    means: 'The fleet store cannot read or write: its database does not answer, is full or read-only, or is locked by another process.',
    next: 'Look at the cause; what was acknowledged before is kept.',
  },
  FLEET_FULL: {
    fault: 'unavailable',
    means: 'The fleet has as many devices, or as many open deployments, as one store holds.',
    next: 'Abort deployments that are done, or look for a flood of made-up devices.',
  },
  LEASE_LOST: {
    fault: 'unavailable',
    means: 'Another process drives the deployments now; a write under the older lease was refused.',
    next: 'Nothing: the newer holder goes on.',
  },
  UNKNOWN_DEPLOYMENT: {
    fault: 'invalid',
    means: 'There is no deployment of this id.',
    next: '`reflash rollout show` without an id lists the deployments.',
  },
  UNKNOWN_DEVICE: {
    fault: 'invalid',
    means: 'No device of this id has ever checked in or was given labels.',
    next: 'List the devices with `reflash device list`.',
  },
  INVALID_DEPLOYMENT: {
    fault: 'invalid',
    means: 'A deployment was asked for with an id, a selector, waves or thresholds that are none.',
    next: 'Correct what the message names.',
  },
  INVALID_LABELS: {
    fault: 'invalid',
    means: 'Labels of a device cannot be used as they are written.',
    next: 'Correct what the message names.',
  },
  DEPLOYMENT_STATE: {
    fault: 'invalid',
    means: 'A deployment is not in the state that is needed to pause, resume or abort it.',
    next: 'Look at it with `reflash rollout show`.',
  },
  PROOF_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'A deployment demands proof, and no evidence verifier is configured or a target cannot measure.',
    next: 'Configure an evidence verifier and targets that measure, or make the deployment without proof.',
  },
  INVALID_PAGE: {
    fault: 'invalid',
    means: 'A page of the fleet was asked for with a limit outside its bounds.',
    next: 'Ask for 1 to 1000 rows.',
  },
  BROKEN_PLUGIN: {
    fault: 'internal',
    means: 'A plugin broke its contract.',
    next: 'Report it to the author of the plugin that the message names; run the conformance suite on it.',
  },
  ABORTED: { fault: 'aborted', means: 'The caller cancelled.', next: 'Nothing; what was journaled stays and can be resumed.' },
  FORGED_PROOF: {
    fault: 'internal',
    means: 'A room was given something that the room before did not make.',
    next: 'Call the rooms in their order; this is a bug in the calling code.',
  },
  COMPONENTS_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'A release has several layers; releases of several images are not supported yet.',
    next: 'Push each image as a release of its own, or one image per platform as an index.',
  },
  SIGNATURE_REFUSED: {
    fault: 'rejected',
    means: 'A signature verifier does not vouch for the artifact.',
    next: 'The reasons name each check. Sign the artifact with a key that the server knows; if it was signed, look for an attack.',
  },
  SIGNATURE_INCONCLUSIVE: {
    fault: 'unavailable',
    means: 'A signature could neither be verified nor refused, because something could not be reached.',
    next: 'It is tried again; look at the registry.',
  },
  VERSION_NOT_SIGNED: {
    fault: 'rejected',
    means: 'A release does not say its version in signed bytes.',
    next: 'Push with `reflash push`, which writes it, or compose `trustTagVersions()`.',
  },
  VERSION_MISMATCH: {
    fault: 'rejected',
    means: "The tag and the signed bytes, or a digest's first tag and its tag now, name different versions.",
    next: 'Somebody tagged a release as what it is not: look at who may write tags.',
  },
  WRONG_PRODUCT: {
    fault: 'rejected',
    means: 'A release is signed for another product, or for none.',
    next: 'Push it with `--product`, or look at how it came into this repository.',
  },
  WRONG_PLATFORM: {
    fault: 'rejected',
    means: 'An index offers a manifest for another platform than the manifest is signed for.',
    next: 'Push the index again, and look at who may write to the repository.',
  },
  INVALID_VERSION: {
    fault: 'invalid',
    means: 'A version is not one of semver 2.0.0.',
    next: 'Write three numbers and what semver allows after them, such as `1.2.3` or `1.3.0-beta.1`.',
  },
  INVALID_FLOOR: {
    fault: 'invalid',
    means: 'A release names the versions that may update to it by something that is no semver range.',
    next: 'Push the release again with a range such as `>=1.2.0`.',
  },
  WRONG_DEVICE: {
    fault: 'rejected',
    means: 'Credentials of one device were used for another.',
    next: "Look at the device's credentials.",
  },
  EVIDENCE_REQUIRED: {
    fault: 'rejected',
    means: 'The policy asks for evidence and the device showed none.',
    next: 'Let the device answer the challenge.',
  },
  EVIDENCE_REFUSED: {
    fault: 'rejected',
    means: "The device's evidence was appraised and not affirmed.",
    next: 'The reasons name each check; the device may be tampered with.',
  },
  EVIDENCE_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'No configured verifier reads this type of evidence.',
    next: 'Add the verifier plugin for it.',
  },
  PLAN_REFUSED: {
    fault: 'rejected',
    means: 'A release may not go to this device.',
    next: 'The reasons name why: already installed, downgrade, floor, wrong chip, too large, ...',
  },
  TARGET_UNKNOWN: {
    fault: 'unsupported',
    means: 'No configured target fits the device, or the one that planned its update is gone.',
    next: 'Add the target plugin to the composition.',
  },
  TARGET_AMBIGUOUS: {
    fault: 'invalid',
    means: 'Several targets fit a device that does not say its model.',
    next: 'Let the device say its model, or configure one target.',
  },
  REPOSITORY_UNNAMEABLE: {
    fault: 'invalid',
    means: 'A device id or model cannot stand in a repository name.',
    next: 'Use lower case letters, digits and single `.`, `_`, `-`, or a template without it.',
  },
  TAGS_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The registry plugin cannot list tags.',
    next: 'Use a registry that lists tags, such as `ociRegistry()`.',
  },
  RELEASE_UNREACHABLE: {
    fault: 'unavailable',
    means:
      'What was verified before cannot be had again: its registry refuses this server, cannot be trusted, or hands out something else in its place.',
    next: 'The reasons name what the registry said or sent: mend its credentials, certificate or content. The update stays open.',
  },
  REGISTRY_SILENT: {
    fault: 'unavailable',
    means: 'The registry did not answer in time.',
    next: 'It is tried again; what is known is served meanwhile.',
  },
  PREPARING: {
    fault: 'unavailable',
    means: 'A release is being fetched and verified.',
    next: 'Ask again in a moment.',
  },
  NO_OFFER: {
    fault: 'invalid',
    means: 'A device asked for an offer that it does not have.',
    next: 'Check in again.',
  },
  OFFER_CLOSED: {
    fault: 'invalid',
    means: 'A device asked for an offer that has ended.',
    next: 'Check in again.',
  },
  INVALID_REPORT: {
    fault: 'invalid',
    means: "A device's report cannot be read.",
    next: 'The message says what was expected.',
  },
  INVALID_STATE: {
    fault: 'invalid',
    means: 'What a device says of itself cannot be read or is too large.',
    next: 'The message says what was expected.',
  },
  INVALID_TOKENS: {
    fault: 'invalid',
    means: 'The list of device tokens cannot be read.',
    next: 'The message names the device.',
  },
  INVALID_COMPOSITION: {
    fault: 'invalid',
    means: 'Plugins or settings that belong together are missing or do not fit.',
    next: 'The message names each.',
  },
  FACTS_CORRUPT: {
    fault: 'invalid',
    means: 'The journal holds something that this version did not write, or facts that contradict each other.',
    next: "Restore the journal; deleting the entry forgets one device's open update.",
  },
  EVENTS_OVERFLOW: {
    fault: 'unavailable',
    means: 'A reader of events fell too far behind.',
    next: 'Read faster, or subscribe with a callback.',
  },
  TRANSPORT_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'No configured transport and target driver have a port in common for this device.',
    next: 'Add a transport that connects to it.',
  },
  ROLLED_BACK: {
    fault: 'rejected',
    means: 'A push did not get its image confirmed and went back to the old one.',
    next: 'The reasons say what was seen.',
  },
  DEVICE_BUSY: {
    fault: 'unavailable',
    means: 'Another push to the same device is running.',
    next: 'Wait until it has ended.',
  },
  DEVICE_SILENT: {
    fault: 'unavailable',
    means: 'A device or its transport did not answer in time.',
    next: 'Look at the connection and push again: the update goes on from where it was.',
  },
  NOT_AN_IMAGE: {
    fault: 'rejected',
    means: 'An image is not what its target can run.',
    next: 'The reasons name every problem; build and push a good image.',
  },
} as const

/** Makes the errors of core: a code that is not in `coreErrors` does not compile. */
export const fail = errorsOf(coreErrors)
