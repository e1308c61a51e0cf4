export { defineSuite, type Runner } from './define-suite.ts'
export { type JournalInstance, type JournalSettings, type JournalSuiteOptions, journalRules, journalSuite } from './journal-suite.ts'
export { firstFailure, type RuleResult, runSuite } from './run-suite.ts'
export type { Instance, Need, Rule, Scene, Suite, SuiteOptions } from './suite.ts'
