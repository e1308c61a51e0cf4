import { expect, it } from 'vitest'
import { memoryCache } from '../../src/testing/index.ts'
import { contentOf, contextOf, descriptorOf } from '../content/cache-content.ts'
import { cacheSuite, sourceOf } from '../content/cache-suite.ts'

cacheSuite('memoryCache', (limitBytes) => memoryCache({ limitBytes }))

it('memoryCache gives bodies as views of memory', async () => {
  const bytes = contentOf(1, 100)
  const image = await memoryCache().hold(descriptorOf(bytes), sourceOf(bytes), contextOf())
  expect(image.body({ offset: 10, length: 5 })).toEqual(bytes.subarray(10, 15))
})
