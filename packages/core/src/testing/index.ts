export { type ManualClock, manualClock } from './manual-clock.ts'
export { type MemoryJournalOptions, memoryJournal } from './memory-journal.ts'
