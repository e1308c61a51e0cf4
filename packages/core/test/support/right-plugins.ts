import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anyOf, atLeast, type Digest, digestAlgorithm, digestHex, diskCache, type SignatureVerifier } from '@reflash/core'
import type {
  CacheInstance,
  CacheSuiteOptions,
  EvidenceVerifierSuiteOptions,
  JournalSuiteOptions,
  RegistrySuiteOptions,
  SignatureVerifierSuiteOptions,
  SignInto,
  TargetSuiteOptions,
} from '@reflash/core/conformance'
import { memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import { attachedKey, attachedSignatures } from './attached-signatures.ts'
import { closing, closingCache } from './closing.ts'
import { boardInstance, flashBoardInstance, memoryTargetInstance } from './memory-bench.ts'
import { evidenceKey, signedEvidence } from './signed-evidence.ts'

const nothing = async (): Promise<void> => {}

/** A journal with every power: it outlives its plugin, and two plugins may share it. */
export const rightJournal: JournalSuiteOptions = {
  make: async ({ now }) => {
    const journal = memoryJournal({ now })
    const plugin = closing(journal)
    const again = async () => {
      await plugin.close?.()
      return closing(journal)
    }
    return { plugin, again, second: async () => closing(journal), dispose: nothing }
  },
  factory: memoryJournal,
  options: { now: () => new Date() },
}

/** A registry with every power. */
export const rightRegistry: RegistrySuiteOptions = {
  make: async () => ({ plugin: closing(memoryRegistry()), repositories: ['registry.test/a', 'registry.test/b'], dispose: nothing }),
  factory: memoryRegistry,
  options: {},
}

/** A verifier of signatures, with an attacker who has learned its format. */
export const rightSignatures: SignatureVerifierSuiteOptions = {
  make: async () => {
    const { publicKey, sign, revoke } = attachedKey()
    const forgeries = [{ name: 'a statement of the same key that says something else', forge: revoke }]
    return { plugin: closing(attachedSignatures({ publicKey })), sign, forgeries, dispose: nothing }
  },
  factory: attachedSignatures,
  options: attachedKey(),
}

const verifiersOf = ({ keys }: { readonly keys: readonly string[] }): readonly SignatureVerifier[] =>
  keys.map((publicKey) => attachedSignatures({ publicKey }))
const threeKeys = { keys: [attachedKey(), attachedKey(), attachedKey()].map(({ publicKey }) => publicKey) }

/** Two of three verifiers: the attacker has one of the keys. */
export const rightThreshold: SignatureVerifierSuiteOptions = {
  make: async () => {
    const signers = [attachedKey(), attachedKey(), attachedKey()] as const
    const [first, second] = signers
    const plugin = atLeast(2, ...verifiersOf({ keys: signers.map(({ publicKey }) => publicKey) }))
    const sign: SignInto = async (...what) => {
      await first.sign(...what)
      await second.sign(...what)
    }
    const forge: SignInto = async (...what) => {
      await first.sign(...what)
      await first.sign(...what)
    }
    return { plugin, sign, forgeries: [{ name: 'two signatures by one key', forge }], dispose: nothing }
  },
  factory: (options: typeof threeKeys) => atLeast(2, ...verifiersOf(options)),
  options: threeKeys,
}

/** One of three verifiers. */
export const rightAlternative: SignatureVerifierSuiteOptions = {
  make: async () => {
    const signers = [attachedKey(), attachedKey(), attachedKey()] as const
    const plugin = anyOf(...verifiersOf({ keys: signers.map(({ publicKey }) => publicKey) }))
    const { sign, revoke } = signers[2]
    return { plugin, sign, forgeries: [{ name: 'a statement that says something else', forge: revoke }], dispose: nothing }
  },
  factory: (options: typeof threeKeys) => anyOf(...verifiersOf(options)),
  options: threeKeys,
}

/** A verifier of evidence, with an attacker who has learned its format. */
export const rightEvidence: EvidenceVerifierSuiteOptions = {
  make: async () => {
    const { trustAnchor, issue } = evidenceKey()
    return {
      plugin: closing(signedEvidence({ trustAnchor })),
      issue: async (challenge) => issue(challenge),
      carries: ['deviceId', 'purpose'],
      forgeries: [{ name: 'evidence of a revoked device', forge: async (challenge) => issue({ ...challenge, isRevoked: true }) }],
      dispose: nothing,
    }
  },
  factory: signedEvidence,
  options: evidenceKey(),
}

/** A target that drives devices by their agent. */
export const rightAgentTarget: TargetSuiteOptions = {
  make: async () => {
    const instance = await memoryTargetInstance()
    return { ...instance, plugin: Object.freeze({ ...instance.plugin, close: nothing }) }
  },
  factory: () => memoryTarget('board'),
  options: {},
}

/** A target that drives devices by their flash. */
export const rightFlashTarget: TargetSuiteOptions = { make: flashBoardInstance }

/** A target that drives devices by either. */
export const rightTarget: TargetSuiteOptions = {
  ...rightAgentTarget,
  make: async () => {
    const instance = await boardInstance()
    return { ...instance, plugin: Object.freeze({ ...instance.plugin, close: nothing }) }
  },
}

/** A cache in memory. */
export const rightCache: CacheSuiteOptions = {
  make: async ({ limitBytes }) => ({ plugin: closingCache(memoryCache({ limitBytes })), dispose: nothing }),
  factory: memoryCache,
  options: { limitBytes: 1000 },
}

export interface DiskCacheInstance extends CacheInstance {
  /** Where content lies at rest. */
  fileOf(digest: Digest): string
}

/** A cache on disk, in a folder of its own. */
export async function onDisk(options: { readonly limitBytes: number; readonly hotBytes?: number }): Promise<DiskCacheInstance> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-conformance-'))
  let plugin = diskCache({ directory, ...options })
  const fileOf = (digest: Digest): string => join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest))
  return {
    plugin,
    fileOf,
    async again() {
      await plugin.close?.()
      plugin = diskCache({ directory, ...options })
      return plugin
    },
    async spoil(digest) {
      const bytes = readFileSync(fileOf(digest))
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 4
      writeFileSync(fileOf(digest), bytes)
    },
    async dispose() {
      await plugin.close?.()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
