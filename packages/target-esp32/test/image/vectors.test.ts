import { describe, expect, it } from 'vitest'
import { inspectImage } from '../../src/image/inspect-image.ts'
import { vectorTable } from '../support/vector-table.ts'
import { filesBelow, vector, vectorFolder } from '../support/vectors.ts'

const folder = vectorFolder()

describe.skipIf(folder === undefined)('every vector', () => {
  const root = folder as string

  it('has a row in the table, and every row has a file', () => {
    expect(filesBelow(root)).toEqual(Object.keys(vectorTable).sort())
  })

  it.for(Object.entries(vectorTable))('%s is told for what it is', async ([name, [kind, chip, codes]]) => {
    const report = await inspectImage(vector(root, name))
    expect([report.kind, report.chip, report.problems.map(({ code }) => code)]).toEqual([kind, chip, codes])
  })
})
