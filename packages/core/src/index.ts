export { anonymousDevices } from './builtin/anonymous-devices.ts'
export { anyOf, atLeast } from './builtin/combined-verifiers.ts'
export { signedVersions } from './builtin/signed-versions.ts'
export { tokenDevices } from './builtin/token-devices.ts'
export { trustTagVersions } from './builtin/trust-tag-versions.ts'
export { unattestedDevices } from './builtin/unattested-devices.ts'
export { unsignedArtifacts } from './builtin/unsigned-artifacts.ts'
export type { CatalogTimes } from './catalog/catalog-times.ts'
export { type Composition, compose, type ReflashOptions } from './composition.ts'
export { aborted, throwIfAborted } from './content/abort.ts'
export { type ByteStream, collect, concat, streamOf } from './content/byte-stream.ts'
export { type CheckedContent, type CheckedOptions, checked } from './content/checked.ts'
export { choosePlatform } from './content/choose-platform.ts'
export { crc32 } from './content/crc32.ts'
export type { Descriptor, Platform } from './content/descriptor.ts'
export { isDeviceId } from './content/device-id.ts'
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
export { type DiskCacheOptions, diskCache } from './content/disk-cache.ts'
export { type FileLock, lockFile, makePrivate } from './content/file-lock.ts'
export type { Json } from './content/json.ts'
export { isJsonObject, type JsonObject, parseJsonObject } from './content/json-object.ts'
export { type ImageIndex, type ImageManifest, manifestKind, parseDescriptor, parseIndex, parseManifest } from './content/manifest.ts'
export { annotations, firmwareArtifactType, manifestLimitBytes, mediaTypes } from './content/media-types.ts'
export { formatPlatform, parsePlatform, samePlatform } from './content/platform.ts'
export { formatReference, parseReference, type Reference } from './content/reference.ts'
export { loadSqlite } from './content/sqlite.ts'
export { coreErrors, fail as coreError } from './core-errors.ts'
export { createEngine, type Engine, type EngineOptions, type PushResult } from './engine.ts'
export type { ErrorEntry, ErrorFactory, ErrorOptions, ErrorTable, Fault, Reason, Stage } from './errors.ts'
export { errorsOf, isOtaError, OtaError } from './errors.ts'
export type {
  ComposedEvent,
  DeviceEvent,
  Events,
  OtaEvent,
  ProgressEvent,
  RegistryEvent,
  ReleaseEvent,
  RolloutEvent,
} from './events.ts'
export { createGateway, type RunningGateway } from './gateway.ts'
export type { Authenticator, Credentials } from './plugin/authenticator.ts'
export type { Body, ByteRange, Cache, FileRange, HeldImage } from './plugin/cache.ts'
export type { Device, DeviceState, Installed, Principal } from './plugin/device.ts'
export type { AppraiseContext, AttestationResult, Evidence, EvidenceVerifier, Measurement, Purpose } from './plugin/evidence-verifier.ts'
export {
  checkPage,
  fleetDeviceLimit,
  fleetPageLimit,
  judgeClaim,
  judgeSettlement,
  leaseHolds,
  movedCounters,
  noCounters,
  openDeploymentLimit,
  placesTaken,
  positionOf,
  selects,
  shareOf,
} from './plugin/fleet-rules.ts'
export type {
  AuditEntry,
  Awaited,
  Claim,
  Claimed,
  Cohort,
  Counters,
  Deployment,
  DeploymentIntent,
  DeploymentProgress,
  DeploymentState,
  FleetDevice,
  FleetRelease,
  FleetStore,
  FleetUpdate,
  Lease,
  Page,
  Reach,
  Selector,
  Settlement,
  UpdateState,
} from './plugin/fleet-store.ts'
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
export type { VersionClaim, VersionSource } from './plugin/version-source.ts'
export { defaultPolicy, type Policy } from './policy/policy.ts'
export {
  compareVersions,
  type EligibleTag,
  eligibleTags,
  inChannel,
  isRange,
  mayUpdateFrom,
  parseTag,
  parseVersion,
} from './policy/version.ts'
export { bucketOf } from './rollout/cohort.ts'
export type { NewDeployment } from './rollout/deployment.ts'
export type { Explanation } from './rollout/explain.ts'
export { reconcile, type Step } from './rollout/reconcile.ts'
export { type Asked, createRollout, type Rollout } from './rollout/rollout.ts'
export type { Tick, Ticker, TickerOptions } from './rollout/ticker.ts'
export { admit } from './update/admit.ts'
export { type ConfirmPolicy, confirm } from './update/confirm.ts'
export { deliver } from './update/deliver.ts'
export type { Admitted, Confirmed, Delivered, DeviceDeps, Installed as InstalledProof, Planned, Presented } from './update/device-line.ts'
export { fetch } from './update/fetch.ts'
export { inspect } from './update/inspect.ts'
export { install } from './update/install.ts'
export { type Observation, type Report, reportStates, type Verdict } from './update/observation.ts'
export { plan } from './update/plan.ts'
export type { Held, PinnedImage, Release, ReleaseDeps, Resolved, Verified } from './update/release-line.ts'
export { resolve } from './update/resolve.ts'
export { verify } from './update/verify.ts'
