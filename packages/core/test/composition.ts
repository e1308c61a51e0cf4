import {
  anonymousDevices,
  type OtaEvent,
  type Principal,
  type ReflashOptions,
  type SignatureVerifier,
  unattestedDevices,
} from '@reflash/core'
import { type MemoryRegistry, manualClock, memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'

export const repository = 'registry.test/fw/board'

export const image = (model: string, filler: string): Uint8Array => new TextEncoder().encode(`board ${model}\n${filler}`)

/** A verifier that vouches for the digests in a set: what a test says is signed, and nothing else. */
export function vouchingVerifier(signed: Set<string>, covers: 'root' | 'manifest' = 'root'): SignatureVerifier {
  return {
    kind: 'signature-verifier',
    name: 'vouching',
    spec: 0,
    policy: 'test',
    verify: async ({ root, manifest }) => {
      const good = signed.has((covers === 'root' ? root : manifest).digest)
      return {
        covers,
        checks: [good ? { name: 'SIGNED', status: 'passed' } : { name: 'SIGNATURE_NOT_FOUND', status: 'failed', reason: 'no signature' }],
      }
    },
  }
}

export const principal = (deviceId: string): Principal => ({ deviceId, by: 'anonymous' })

/** A whole composition in memory, whose registry, clock and signatures are the test's. */
export function world(options: Partial<ReflashOptions> = {}) {
  const clock = manualClock()
  const registry: MemoryRegistry = memoryRegistry()
  const signed = new Set<string>()
  const events: OtaEvent[] = []
  const release = (
    version: string,
    more: {
      tag?: string
      model?: string
      filler?: string
      product?: string
      from?: string
      unsigned?: boolean
      claims?: string | null
    } = {},
  ) => {
    const made = registry.addArtifact(repository, {
      content: image(more.model ?? 'board', more.filler ?? version),
      tag: more.tag ?? version,
      ...(more.claims === null ? {} : { version: more.claims ?? version }),
      ...(more.product === undefined ? {} : { product: more.product }),
      ...(more.from === undefined ? {} : { annotations: { 'dev.reflash.from': more.from } }),
    })
    const digest = made.manifest.digest
    if (more.unsigned !== true) signed.add(digest)
    return made
  }
  const composition: ReflashOptions = {
    repository,
    registry,
    verifiers: [vouchingVerifier(signed)],
    targets: [memoryTarget()],
    authenticators: [anonymousDevices()],
    attestation: [unattestedDevices()],
    journal: memoryJournal({ now: clock.now }),
    cache: memoryCache(),
    clock: clock.now,
    onEvent: (event) => events.push(event),
    ...options,
  }
  return { clock, registry, signed, events, release, composition }
}
