import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestAlgorithm, digestHex, diskCache } from '@reflash/core'
import {
  type CacheInstance,
  cacheSuite,
  evidenceVerifierSuite,
  journalSuite,
  registrySuite,
  signatureVerifierSuite,
  targetSuite,
} from '@reflash/core/conformance'
import { memoryCache, memoryJournal, memoryRegistry } from '@reflash/core/testing'
import { describe, it } from 'vitest'
import { attachedKey, attachedSignatures } from './support/attached-signatures.ts'
import { memoryTargetInstance } from './support/memory-bench.ts'
import { evidenceKey, signedEvidence } from './support/signed-evidence.ts'

const runner = { describe, it }
const nothing = async (): Promise<void> => {}

describe('memoryJournal', () => {
  journalSuite(runner, {
    make: async ({ now }) => ({ plugin: memoryJournal({ now }), dispose: nothing }),
    factory: memoryJournal,
    options: { now: () => new Date() },
  })
})

describe('memoryRegistry', () => {
  registrySuite(runner, {
    make: async () => ({ plugin: memoryRegistry(), repositories: ['registry.test/a', 'registry.test/b'], dispose: nothing }),
  })
})

describe('attachedSignatures', () => {
  signatureVerifierSuite(runner, {
    make: async () => {
      const { publicKey, sign } = attachedKey()
      return { plugin: attachedSignatures({ publicKey }), sign, dispose: nothing }
    },
    factory: attachedSignatures,
    options: attachedKey(),
  })
})

describe('signedEvidence', () => {
  evidenceVerifierSuite(runner, {
    make: async () => {
      const { trustAnchor, issue } = evidenceKey()
      const plugin = signedEvidence({ trustAnchor })
      return { plugin, issue: async (challenge) => issue(challenge), carries: ['deviceId', 'purpose'], dispose: nothing }
    },
    factory: signedEvidence,
    options: evidenceKey(),
  })
})

describe('memoryTarget', () => {
  targetSuite(runner, { make: memoryTargetInstance })
})

describe('memoryCache', () => {
  cacheSuite(runner, {
    make: async ({ limitBytes }) => ({ plugin: memoryCache({ limitBytes }), dispose: nothing }),
    factory: memoryCache,
    options: { limitBytes: 1000 },
  })
})

describe('diskCache', () => {
  cacheSuite(runner, {
    make: ({ limitBytes }) => onDisk({ limitBytes }),
    factory: diskCache,
    options: { directory: join(tmpdir(), 'never-made'), limitBytes: 1000 },
  })
})

describe('diskCache that keeps nothing in memory', () => {
  cacheSuite(runner, { make: ({ limitBytes }) => onDisk({ limitBytes, hotBytes: 0 }) })
})

async function onDisk(options: { readonly limitBytes: number; readonly hotBytes?: number }): Promise<CacheInstance> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-conformance-'))
  let plugin = diskCache({ directory, ...options })
  return {
    plugin,
    async again() {
      await plugin.close?.()
      plugin = diskCache({ directory, ...options })
      return plugin
    },
    async spoil(digest) {
      const file = join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest))
      const bytes = readFileSync(file)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 4
      writeFileSync(file, bytes)
    },
    async dispose() {
      await plugin.close?.()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
