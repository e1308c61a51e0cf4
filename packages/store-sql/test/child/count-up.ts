import { isOtaError } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'

// Raises one counter a number of times by compare-and-set, beside whoever else does, and prints how many conflicts it met.
const [file = '', times = '0'] = process.argv.slice(2)
const journal = sqlStore({ file, synchronous: 'normal' })
let conflicts = 0
for (let done = 0; done < Number(times); ) {
  const entry = await journal.get('counter')
  try {
    await journal.put('counter', Number(entry?.value ?? 0) + 1, { ifVersion: entry?.version ?? null })
    done += 1
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
    conflicts += 1
  }
}
await journal.close?.()
console.log(conflicts)
