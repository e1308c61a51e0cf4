import { cutSteps, longLife, settings, smallBytes } from '../packages/target-esp32/test/support/power-cut-scenes.ts'

// Cuts the power of a virtual ESP32 at and inside every erase and write of its updates, and prints what came of it.

const columns = ['operations', 'cuts', 'torn', 'unbootable', 'failures', 'ESP-IDF'] as const
const head = ['writer', 'table', 'rollback', ...columns]
const rows: string[][] = []
let isGood = true
for (const writer of ['flash driver', 'agent'] as const) {
  for (const setting of settings) {
    const found = await cutSteps({ ...setting, writer, imageBytes: smallBytes }, longLife, { seeds: [1] })
    const { operations, cuts, torn, unbootable, failures, espIdf } = found
    for (const { message, cut, operation } of failures.slice(0, 10)) console.error(message, JSON.stringify({ cut, operation }))
    isGood &&= unbootable === 0 && failures.length === 0
    const counts = [operations, cuts, torn, unbootable, failures.length, espIdf].map(String)
    rows.push([writer, setting.table, setting.rollback ? 'on' : 'off', ...counts])
  }
}
for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`)
console.log(
  '\nESP-IDF: cuts inside what it writes by itself, after which its bootloader starts an image again that was never kept (docs/power-cuts.md)',
)
process.exit(isGood ? 0 : 1)
