import { isOtaError } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'

// Gives up root, where it has it, then tries one put and prints the code that refuses it.
const [file = ''] = process.argv.slice(2)
if (process.geteuid?.() === 0) process.seteuid?.(65_534)
try {
  await sqlStore({ file }).put('k', 1, { ifVersion: null })
  console.log('stored')
} catch (error) {
  console.log(isOtaError(error) ? error.code : String(error))
}
