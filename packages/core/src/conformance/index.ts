export { type CacheInstance, type CacheSettings, type CacheSuiteOptions, cacheRules, cacheSuite } from './cache-suite.ts'
export { type Damaged, damaged } from './content.ts'
export { defineSuite, type Runner } from './define-suite.ts'
export {
  type Challenge,
  type EvidenceVerifierInstance,
  type EvidenceVerifierSuiteOptions,
  evidenceVerifierRules,
  evidenceVerifierSuite,
} from './evidence-verifier-suite.ts'
export {
  type FleetStoreInstance,
  type FleetStoreRule,
  type FleetStoreSuiteOptions,
  fleetStoreRules,
  fleetStoreSuite,
} from './fleet-store-suite.ts'
export { type JournalInstance, type JournalSettings, type JournalSuiteOptions, journalRules, journalSuite } from './journal-suite.ts'
export { type RegistryContent, type RegistryInstance, type RegistrySuiteOptions, registryRules, registrySuite } from './registry-suite.ts'
export { firstFailure, type RuleResult, runSuite } from './run-suite.ts'
export {
  type SignatureVerifierInstance,
  type SignatureVerifierSuiteOptions,
  type SignInto,
  signatureVerifierRules,
  signatureVerifierSuite,
} from './signature-verifier-suite.ts'
export type { Instance, Need, Rule, Scene, Suite, SuiteOptions } from './suite.ts'
export { type Bench, type Boots, type TargetInstance, type TargetSuiteOptions, targetRules, targetSuite } from './target-suite.ts'
export {
  type AgentDevice,
  type Attack,
  type Caller,
  type Carried,
  type FlashDevice,
  type KnownDevice,
  type PullAnswer,
  type PullBench,
  type PullClient,
  type PullOffer,
  type PullState,
  type RawCheckIn,
  type TransportInstance,
  type TransportSettings,
  type TransportSuiteOptions,
  transportRules,
  transportSuite,
  type Wire,
  type WiredDevice,
  type WireFault,
} from './transport-suite.ts'
