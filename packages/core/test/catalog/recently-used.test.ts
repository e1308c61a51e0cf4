import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recentlyUsed } from '../../src/catalog/recently-used.ts'

test('a memory keeps exactly what was used last, whatever the order of calls', () => {
  const call = fc.tuple(fc.constantFrom('get', 'set', 'delete'), fc.constantFrom('a', 'b', 'c', 'd', 'e'))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(call, { maxLength: 60 }), (limit, calls) => {
      const memory = recentlyUsed<string>(limit)
      // The model: a list, most recent last.
      let model: string[] = []
      for (const [method, key] of calls) {
        const known = model.includes(key)
        if (method === 'get') expect(memory.get(key)).toBe(known ? key : undefined)
        if (method === 'set') memory.set(key, key)
        if (method === 'delete') memory.delete(key)
        const others = model.filter((other) => other !== key)
        if (method === 'delete') model = others
        else if (method === 'set' || known) model = [...others, key].slice(-limit)
      }
      for (const key of 'abcde') expect(memory.get(key) !== undefined).toBe(model.includes(key))
    }),
  )
})
