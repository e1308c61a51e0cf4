import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskCache } from '@reflash/core'
import {
  cacheSuite,
  evidenceVerifierSuite,
  journalSuite,
  registrySuite,
  signatureVerifierSuite,
  targetSuite,
} from '@reflash/core/conformance'
import { describe, it } from 'vitest'
import {
  onDisk,
  rightAlternative,
  rightCache,
  rightEvidence,
  rightJournal,
  rightRegistry,
  rightSignatures,
  rightTarget,
  rightThreshold,
} from './support/right-plugins.ts'

const runner = { describe, it }

describe('memoryJournal', () => journalSuite(runner, rightJournal))
describe('memoryRegistry', () => registrySuite(runner, rightRegistry))
describe('memoryCache', () => cacheSuite(runner, rightCache))
describe('memoryTarget', () => targetSuite(runner, rightTarget))
describe('attachedSignatures', () => signatureVerifierSuite(runner, rightSignatures))
describe('atLeast', () => signatureVerifierSuite(runner, rightThreshold))
describe('anyOf', () => signatureVerifierSuite(runner, rightAlternative))
describe('signedEvidence', () => evidenceVerifierSuite(runner, rightEvidence))

describe('diskCache', () => {
  cacheSuite(runner, {
    make: ({ limitBytes }) => onDisk({ limitBytes }),
    factory: diskCache,
    options: { directory: join(tmpdir(), 'never-made'), limitBytes: 1000 },
  })
})

describe('diskCache that keeps nothing in memory', () => {
  cacheSuite(runner, {
    make: ({ limitBytes }) => onDisk({ limitBytes, hotBytes: 0 }),
    factory: diskCache,
    options: { directory: join(tmpdir(), 'never-made'), hotBytes: 0 },
  })
})
