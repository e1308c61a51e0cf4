// What appraising a chain of four P-256 certificates with its proof costs, beside five bare P-256 verifications: the least that it can be.
// The rate should be at least 0.6 of theirs where the chain was seen before.
// node --conditions=@reflash/source packages/attest-dice/bench/appraisal.ts [--json]
import { createPublicKey, verify } from 'node:crypto'
import { memoryJournal } from '@reflash/core/testing'
import { diceVerifier } from '../src/index.ts'
import { proofMessage } from '../src/proof.ts'
import { evidenceOf, goodLayers, goodReferenceValues, issueChain, signWith } from '../src/testing/index.ts'

const rounds = 25
const appraisals = 40

const chain = issueChain({ algorithm: 'P-256', layers: goodLayers })
const challenge = { nonce: new Uint8Array(32).fill(7), purpose: 'confirm' as const, deviceId: 'd1' }
const evidence = evidenceOf(chain, challenge)
const options = { anchors: [chain.root], identities: 'first-use' as const, referenceValues: goodReferenceValues }
const context = {
  ...challenge,
  now: new Date('2026-06-01T00:00:00Z'),
  references: [],
  state: memoryJournal(),
  signal: new AbortController().signal,
}

const key = createPublicKey({ key: Buffer.from(chain.leafKey.spki), format: 'der', type: 'spki' })
const message = proofMessage(challenge.nonce, chain.certificates[0] as Uint8Array, new Uint8Array(10))
const signature = signWith(chain.leafKey, message)

function bare(): void {
  for (let times = 0; times < 5 * appraisals; times++)
    if (!verify('sha256', message, key, signature)) throw new Error('expected a good signature')
}

function appraising(verifier: ReturnType<typeof diceVerifier>): () => Promise<void> {
  return async () => {
    for (let times = 0; times < appraisals; times++) {
      const { tier } = await verifier.appraise(evidence, context)
      if (tier !== 'affirming') throw new Error(`expected a good appraisal, found ${tier}`)
    }
  }
}

/** CPU microseconds of this process for each appraisal: on a shared machine steadier than the time on the wall. */
async function cpuMicros(work: () => Promise<void> | void): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / appraisals
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

const cached = appraising(diceVerifier(options))
const uncached = appraising(diceVerifier({ ...options, rememberedCertificates: 0 }))
const taken: { bare: number; cached: number; uncached: number }[] = []
// Taken in turns, so that a busy neighbour slows all; the first rounds warm up.
for (let round = -3; round < rounds; round++) {
  const times = { bare: await cpuMicros(bare), cached: await cpuMicros(cached), uncached: await cpuMicros(uncached) }
  if (round >= 0) taken.push(times)
}
const result = {
  certificates: chain.certificates.length,
  bareMicros: median(taken.map((times) => times.bare)),
  cachedMicros: median(taken.map((times) => times.cached)),
  uncachedMicros: median(taken.map((times) => times.uncached)),
  cached: median(taken.map((times) => times.bare / times.cached)),
  uncached: median(taken.map((times) => times.bare / times.uncached)),
}

if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  const micros = (value: number): string => `${value.toFixed(0)} us`
  console.log(`five bare P-256 verifications: ${micros(result.bareMicros)}`)
  console.log(
    `appraisal of ${result.certificates} certificates and a proof, seen before: ${micros(result.cachedMicros)}, rate ${result.cached.toFixed(2)} (goal: at least 0.60)`,
  )
  console.log(`the same, never seen: ${micros(result.uncachedMicros)}, rate ${result.uncached.toFixed(2)}, CPU time`)
}
