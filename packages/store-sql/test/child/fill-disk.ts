import { isOtaError } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'

// Puts 64 KiB values until one is refused, then reads back what was acknowledged. Runs under a limit on the size of files.
const [file = ''] = process.argv.slice(2)
const journal = sqlStore({ file })
let written = 0
let refusal: unknown
while (refusal === undefined && written < 1000) {
  try {
    await journal.put(`k/${written}`, 'x'.repeat(65_536), { ifVersion: null })
    written += 1
  } catch (error) {
    refusal = error
  }
}
const read = (await Array.fromAsync(journal.list('k/'))).length
console.log(JSON.stringify({ written, read, code: isOtaError(refusal) ? refusal.code : String(refusal) }))
