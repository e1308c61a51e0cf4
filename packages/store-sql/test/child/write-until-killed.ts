import { sqlStore } from '@reflash/store-sql'

// Puts ascending numbers, sixteen at a time, and prints each number once its put has resolved. Ends only by a signal.
const [file = ''] = process.argv.slice(2)
const journal = sqlStore({ file })
for (let next = 0; ; ) {
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      const number = next++
      await journal.put(`n/${number}`, number, { ifVersion: null })
      process.stdout.write(`${number}\n`)
    }),
  )
}
