export { aborted, throwIfAborted } from './content/abort.ts'
export { type ByteStream, collect, concat, streamOf } from './content/byte-stream.ts'
export { type CheckedContent, type CheckedOptions, checked } from './content/checked.ts'
export { choosePlatform } from './content/choose-platform.ts'
export { crc32 } from './content/crc32.ts'
export type { Descriptor, Platform } from './content/descriptor.ts'
export {
  type Digest,
  type DigestAlgorithm,
  digestAlgorithm,
  digestHex,
  digestOf,
  hashFor,
  isDigest,
  parseDigest,
} from './content/digest.ts'
export type { Json } from './content/json.ts'
export { annotations, firmwareArtifactType, manifestLimitBytes, mediaTypes } from './content/media-types.ts'
export { formatPlatform, parsePlatform, samePlatform } from './content/platform.ts'
export { formatReference, parseReference, type Reference } from './content/reference.ts'
export { coreErrors, fail as coreError } from './core-errors.ts'
export type { ErrorEntry, ErrorFactory, ErrorOptions, ErrorTable, Fault, Reason, Stage } from './errors.ts'
export { errorsOf, isOtaError, OtaError } from './errors.ts'
export type { Authenticator, Credentials } from './plugin/authenticator.ts'
export type { Body, ByteRange, Cache, FileRange, HeldImage } from './plugin/cache.ts'
export type { Device, DeviceState, Installed, Principal } from './plugin/device.ts'
export type { AppraiseContext, AttestationResult, Evidence, EvidenceVerifier, Measurement, Purpose } from './plugin/evidence-verifier.ts'
export type {
  CheckInAnswer,
  CheckInOptions,
  Gateway,
  Health,
  Offer,
  OfferedComponent,
  OfferRef,
  ReadOptions,
  Representation,
} from './plugin/gateway.ts'
export type { Journal, JournalEntry } from './plugin/journal.ts'
export {
  checkJournalKey,
  checkJournalPrefix,
  journalExpiry,
  journalKeyLimitBytes,
  journalText,
  journalValueLimitBytes,
} from './plugin/journal-entry.ts'
export type { CallOptions, Check, Plugin, RunContext } from './plugin/plugin.ts'
export type { AgentPort, Connection, FlashPort, Ports } from './plugin/ports.ts'
export type { Registry } from './plugin/registry.ts'
export type { SignatureVerifier, Subject, VerificationResult, VerifyContext } from './plugin/signature-verifier.ts'
export type { Driver, ImageInfo, Target } from './plugin/target.ts'
export type { ServeContext, Serving, Transport } from './plugin/transport.ts'
export type { Observation, Report, Verdict } from './update/observation.ts'
