import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Count } from './steps.ts'

/** A skip that is allowed: every other one fails the gate, because there the peers and vectors are all present. */
interface AllowedSkip {
  /** File and full name of the test, `file > name`, or a part of both. */
  readonly test: RegExp
  readonly reason: string
}

// What may be skipped although this is the gate, each with its reason. Empty is the aim.
const allowedSkips: readonly AllowedSkip[] = [
  {
    test: /^packages\/[a-z0-9-]+\/test\/(?:[a-z0-9-]+\/)?(?:[a-z0-9-]+-)?conformance(?:-[a-z0-9-]+)?\.test\.ts > .*\(only with /,
    reason: 'the published suites skip a rule where a plugin lacks the optional power it is about, such as close() or a restart',
  },
]

interface TestResult {
  readonly fullName: string
  readonly status: string
  readonly duration?: number | null
  readonly failureMessages?: readonly string[]
  /** What a test puts into `task.meta`. */
  readonly meta?: { readonly facts?: Readonly<Record<string, unknown>> }
}

interface Report {
  readonly success: boolean
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message?: string
    readonly assertionResults: readonly TestResult[]
  }[]
}

/** Counts a run of vitest from its JSON report; a skip that is not allowed and a run without tests are failures. */
export function countReport(file: string): Count {
  const report = read(file)
  let passed = 0
  let skipped = 0
  const failures: string[] = []
  for (const suite of report.testResults) {
    const path = relative(process.cwd(), suite.name)
    if (suite.status === 'failed' && suite.assertionResults.length === 0) failures.push(`${path}: ${suite.message ?? 'did not load'}`)
    for (const test of suite.assertionResults) {
      const name = `${path} > ${test.fullName}`
      if (test.status === 'passed') passed += 1
      else if (test.status === 'failed') failures.push(`${name}\n${test.failureMessages?.join('\n') ?? ''}`)
      else if (allowedSkips.some((skip) => skip.test.test(name))) skipped += 1
      else
        failures.push(
          `${name}: was ${test.status}; install what it needs, or allow the skip by name with a reason in scripts/gate/vitest-report.ts`,
        )
    }
  }
  if (passed === 0 && failures.length === 0) failures.push('no test ran')
  if (!report.success && failures.length === 0) failures.push('vitest failed outside of a test: see its output above')
  return { passed, failures, skipped }
}

/** A test that passed, and what it says of itself under `task.meta.facts`. */
export interface SoakedTest {
  readonly file: string
  readonly name: string
  readonly durationMs: number
  readonly facts: Readonly<Record<string, unknown>>
}

/** The tests of a report that passed, in its order. */
export function passedTests(file: string): readonly SoakedTest[] {
  return read(file)
    .testResults.flatMap(({ name, assertionResults }) => assertionResults.map((test) => ({ ...test, file: relative(process.cwd(), name) })))
    .filter(({ status }) => status === 'passed')
    .map(({ file, fullName, duration, meta }) => ({ file, name: fullName, durationMs: duration ?? 0, facts: meta?.facts ?? {} }))
}

function read(file: string): Report {
  return JSON.parse(readFileSync(file, 'utf8')) as Report
}
