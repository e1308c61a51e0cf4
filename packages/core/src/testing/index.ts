export { type ManualClock, manualClock } from './manual-clock.ts'
export { type MemoryCacheOptions, memoryCache } from './memory-cache.ts'
export { type MemoryJournalOptions, memoryJournal } from './memory-journal.ts'
