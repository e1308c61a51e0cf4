import { anyOf, atLeast, type Check, OtaError, type SignatureVerifier, unsignedArtifacts, type VerificationResult } from '@reflash/core'
import { memoryJournal, memoryRegistry } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'

const descriptor = { mediaType: 'm/m', digest: `sha256:${'0'.repeat(64)}`, size: 1 } as const
const subject = { repository: 'r/r', reference: 'r/r', root: descriptor, manifest: descriptor }
const context = { signal: new AbortController().signal, now: new Date(0), from: memoryRegistry(), state: memoryJournal() }

let made = 0
/** One verifier of its own keys that says `status`. */
function saying(status: Check['status'], covers: 'root' | 'manifest' = 'root', name?: string): SignatureVerifier {
  made += 1
  const policy = `policy-${made}`
  const checks: readonly Check[] = [{ name: 'CHECK', status, reason: `said ${status}` }]
  return {
    ...unsignedArtifacts(),
    name: name ?? `v${made}`,
    policy,
    verify: async () => ({ covers, checks, signer: { identity: policy } }),
  }
}

function throwing(fault: OtaError['fault'], code = 'BAD_BYTES'): SignatureVerifier {
  return {
    ...saying('passed'),
    verify: async () => {
      throw new OtaError(code, fault, 'thrown')
    },
  }
}

const verdictOf = ({ checks }: VerificationResult): string =>
  checks.some(({ status }) => status === 'failed')
    ? 'failed'
    : checks.some(({ status }) => status === 'inconclusive')
      ? 'inconclusive'
      : 'passed'
const verdict = async (verifier: SignatureVerifier): Promise<string> => verdictOf(await verifier.verify(subject, context))

describe('atLeast', () => {
  const [pass, fail, open] = [() => saying('passed'), () => saying('failed'), () => saying('inconclusive')]

  test('passes, fails and cannot tell exactly as its threshold says, for every mix of three', async () => {
    const kinds = [
      ['passed', pass],
      ['failed', fail],
      ['inconclusive', open],
    ] as const
    for (const count of [1, 2, 3]) {
      for (const a of kinds) {
        for (const b of kinds) {
          for (const c of kinds) {
            const said = [a[0], b[0], c[0]]
            const passed = said.filter((word) => word === 'passed').length
            const untold = said.filter((word) => word === 'inconclusive').length
            const expected = passed >= count ? 'passed' : passed + untold >= count ? 'inconclusive' : 'failed'
            expect(await verdict(atLeast(count, a[1](), b[1](), c[1]())), `${count} of ${said.join()}`).toBe(expected)
          }
        }
      }
    }
  })

  test('covers the root only where as many as it asks for cover the root', async () => {
    const covers = async (verifier: SignatureVerifier) => (await verifier.verify(subject, context)).covers
    expect(await covers(atLeast(2, saying('passed', 'root'), saying('passed', 'root'), saying('passed', 'manifest')))).toBe('root')
    expect(await covers(atLeast(2, saying('passed', 'root'), saying('passed', 'manifest')))).toBe('manifest')
    expect(await covers(atLeast(2, saying('passed', 'root'), saying('failed', 'root'), saying('passed', 'manifest')))).toBe('manifest')
    expect(await covers(anyOf(saying('passed', 'manifest'), saying('passed', 'root')))).toBe('root')
  })

  test('takes two verifiers of one kind with different keys, and refuses one counted twice', async () => {
    const [a, b] = [saying('passed', 'root', 'cosign'), saying('passed', 'root', 'cosign')]
    const both = atLeast(2, a, b)
    expect(await verdict(both)).toBe('passed')
    expect(both.name).toMatch(/^at-least-2\(cosign#[0-9a-f]{8},cosign#[0-9a-f]{8}\)$/)
    expect(() => atLeast(2, a, { ...a })).toThrow(expect.objectContaining({ code: 'INVALID_COMPOSITION' }))
    expect(atLeast(1, a, b).policy).not.toBe(both.policy)
  })

  test.each([0, 3, 1.5, -1, Number.NaN])('refuses the threshold %d of two', (count) => {
    expect(() => atLeast(count, saying('passed'), saying('passed'))).toThrow(expect.objectContaining({ code: 'INVALID_COMPOSITION' }))
  })

  test('lets no verifier that throws decide for the others', async () => {
    for (const fault of ['invalid', 'rejected', 'unsupported'] as const) {
      expect(await verdict(anyOf(throwing(fault), saying('passed')))).toBe('passed')
      expect(await verdict(atLeast(2, throwing(fault), saying('passed')))).toBe('failed')
    }
    expect(await verdict(anyOf(throwing('unavailable'), saying('failed')))).toBe('inconclusive')
    const told = await anyOf(throwing('invalid'), saying('failed')).verify(subject, context)
    expect(told.checks.map(({ reason }) => reason).join()).toMatch(/expected 1 of 2.*thrown.*said failed/)
  })

  test('ends with the caller, and hides no bug', async () => {
    await expect(verdict(anyOf(throwing('aborted', 'ABORTED'), saying('passed')))).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(verdict(anyOf(throwing('internal', 'BUG'), saying('passed')))).rejects.toMatchObject({ code: 'BUG' })
    const bug: SignatureVerifier = { ...saying('passed'), verify: () => Promise.reject(new TypeError('bug')) }
    await expect(verdict(anyOf(bug, saying('passed')))).rejects.toThrow(TypeError)
  })

  test('counts a status that nobody knows as failed', async () => {
    const strange = {
      ...saying('passed'),
      verify: async () => ({ covers: 'root' as const, checks: [{ name: 'A', status: 'ok' as never }] }),
    }
    expect(await verdict(anyOf(strange))).toBe('failed')
    const silent = { ...saying('passed'), verify: async () => ({ covers: 'root' as const, checks: [] }) }
    expect(await verdict(anyOf(silent))).toBe('failed')
  })

  test('gives each of its verifiers a memory of its own', async () => {
    const state = memoryJournal()
    const keeping = (name: string): SignatureVerifier => ({
      ...saying('passed', 'root', name),
      verify: async (_, { state: own }) => {
        const known = await own.get('key')
        await own.put('key', name, { ifVersion: known?.version ?? null })
        return { covers: 'root', checks: [{ name: String(known?.value), status: 'passed' }] }
      },
    })
    const both = atLeast(2, keeping('a'), keeping('b'))
    await both.verify(subject, { ...context, state })
    expect((await both.verify(subject, { ...context, state })).checks.map(({ name }) => name)).toEqual(['a', 'b'])
  })

  test('says what it leaves open, and closes every verifier though one fails to', async () => {
    const closed: string[] = []
    const closing = (name: string, fails = false): SignatureVerifier => ({
      ...saying('passed', 'root', name),
      close: async () => {
        closed.push(name)
        if (fails) throw new OtaError('DISK', 'unavailable', 'disk')
      },
    })
    const combined = anyOf(closing('a', true), closing('b'), unsignedArtifacts())
    expect(combined.opens).toContain('artifacts need no signature')
    await expect(combined.close?.()).rejects.toMatchObject({ code: 'DISK' })
    expect(closed).toEqual(['a', 'b'])
  })
})
