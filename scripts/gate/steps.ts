/** What a step counted. A failure has its text, which is printed at the end. */
export interface Count {
  readonly passed: number
  readonly failures: readonly string[]
  readonly skipped: number
}

export interface Step {
  readonly name: string
  run(): Promise<Count>
}

export const passed = (number = 1): Count => ({ passed: number, failures: [], skipped: 0 })
export const failed = (...failures: readonly string[]): Count => ({ passed: 0, failures, skipped: 0 })

export function sum(counts: readonly Count[]): Count {
  return {
    passed: counts.reduce((total, count) => total + count.passed, 0),
    failures: counts.flatMap((count) => count.failures),
    skipped: counts.reduce((total, count) => total + count.skipped, 0),
  }
}

/** Runs the steps in order up to the first that fails, prints each with its time, and ends the process with the closing line. */
export async function runSteps(steps: readonly Step[]): Promise<never> {
  const counts: Count[] = []
  for (const { name, run } of steps) {
    const start = performance.now()
    process.stdout.write(`== ${name}\n`)
    const count = await run().catch((error: unknown) => failed(error instanceof Error ? (error.stack ?? error.message) : String(error)))
    counts.push(count)
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    process.stdout.write(`   ${count.passed} passed, ${count.failures.length} failed, ${count.skipped} skipped in ${seconds} s\n`)
    if (count.failures.length > 0) {
      process.stdout.write(`\nfailed: ${name}\n${count.failures.join('\n')}\n\n`)
      break
    }
  }
  const total = sum(counts)
  process.stdout.write(`${total.passed} passed, ${total.failures.length} failed, ${total.skipped} skipped\n`)
  process.exit(total.failures.length === 0 ? 0 : 1)
}
