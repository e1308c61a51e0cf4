import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareVersions,
  eligibleTags,
  inChannel,
  isRange,
  mayUpdateFrom,
  parseTag,
  parseVersion,
  tagLimit,
} from '../../src/policy/version.ts'

// ---- a naive model of semver 2.0.0, which shares no code with the source ----

interface Model {
  readonly core: readonly number[]
  readonly pre: readonly string[]
  readonly build: string
}

const numeric = /^(0|[1-9][0-9]*)$/

function write({ core, pre, build }: Model): string {
  return `${core.join('.')}${pre.length === 0 ? '' : `-${pre.join('.')}`}${build === '' ? '' : `+${build}`}`
}

/** Section 11, word by word. */
function order(a: Model, b: Model): number {
  for (const index of [0, 1, 2]) {
    const difference = (a.core[index] as number) - (b.core[index] as number)
    if (difference !== 0) return Math.sign(difference)
  }
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length) * (a.pre.length === b.pre.length ? 0 : 1)
  for (let index = 0; index < Math.min(a.pre.length, b.pre.length); index++) {
    const [x, y] = [a.pre[index] as string, b.pre[index] as string]
    if (x === y) continue
    if (numeric.test(x) && numeric.test(y)) return Math.sign(Number(x) - Number(y))
    if (numeric.test(x) !== numeric.test(y)) return numeric.test(x) ? -1 : 1
    return x < y ? -1 : 1
  }
  return Math.sign(a.pre.length - b.pre.length)
}

const number = fc.oneof(fc.nat(3), fc.nat(1000))
const word = fc.constantFrom('alpha', 'beta', 'rc', 'x-y', 'Beta', 'beta1')
const version: fc.Arbitrary<Model> = fc.record({
  core: fc.tuple(number, number, number),
  pre: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    fc.array(fc.oneof(word, fc.nat(20).map(String)), { minLength: 1, maxLength: 3 }),
  ),
  build: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom('a', '001', 'b.2', '7-z')),
})

describe('parseVersion', () => {
  it('gives every version of semver back as it is', () => {
    fc.assert(
      fc.property(version, (model) => {
        expect(parseVersion(write(model))).toBe(write(model))
      }),
    )
  })

  it.each([
    '',
    '1',
    '1.2',
    'v1.2.3',
    '=1.2.3',
    ' 1.2.3',
    '1.2.3 ',
    '1.2.3\n',
    '01.2.3',
    '1.2.3-01',
    '1.2.3-',
    '1.2.3+',
    '1.2.3_a',
    '1.2.3.4',
    '-1.2.3',
    '1.2.x',
    '1.2.3-ä',
    '9007199254740993.0.0',
    '1.0.0-9007199254740993',
    `1.0.0-${'a'.repeat(300)}`,
    '__proto__',
  ])('takes %j for no version', (text) => {
    expect(parseVersion(text)).toBeUndefined()
  })
})

describe('parseTag', () => {
  it('reads a version with and without v, with _ for +', () => {
    fc.assert(
      fc.property(version, fc.constantFrom('', 'v', 'V'), (model, prefix) => {
        expect(parseTag(prefix + write(model).replace('+', '_'))).toBe(write(model))
      }),
    )
  })

  it.each([
    'latest',
    'stable',
    '1.2',
    'v1',
    'vv1.2.3',
    'version-1.2.3',
    '1.2.3_',
    '1.2.3_a_b',
    '1.2.3_a+b',
    '_1.2.3',
    '1_2.3',
    'sha256-4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b',
    'sha256-4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b.sig',
    `1.2.3-${'a'.repeat(123)}`,
  ])('takes %j for no version', (tag) => {
    expect(parseTag(tag)).toBeUndefined()
  })

  it('reads a tag as long as tags may be', () => {
    expect(parseTag(`1.2.3-${'a'.repeat(122)}`)).toBe(`1.2.3-${'a'.repeat(122)}`)
  })
})

describe('compareVersions', () => {
  it('orders as the model does, whatever the build metadata', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(compareVersions(write(a), write(b)) + 0).toBe(order(a, b) + 0)
      }),
      { numRuns: 1000 },
    )
  })

  it('orders the examples of semver 2.0.0, section 11', () => {
    const ascending = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '2.0.0',
    ]
    expect(ascending.toSorted(() => -1).toSorted(compareVersions)).toEqual(ascending)
  })

  it('refuses what is no version', () => {
    for (const [a, b] of [
      ['1.0.0', 'v1.0.0'],
      ['latest', '1.0.0'],
    ] as const) {
      expect(() => compareVersions(a, b)).toThrow(expect.objectContaining({ code: 'INVALID_VERSION', fault: 'invalid' }))
    }
  })
})

describe('channels', () => {
  it.each([
    ['1.3.0', 'stable', true],
    ['1.3.0+b', 'stable', true],
    ['1.3.0-beta.1', 'stable', false],
    ['1.3.0-stable.1', 'stable', false],
    ['1.3.0-0', 'stable', false],
    ['1.3.0', 'beta', true],
    ['1.3.0-beta', 'beta', true],
    ['1.3.0-beta.1', 'beta', true],
    ['1.3.0-alpha.1', 'beta', false],
    ['1.3.0-rc.1', 'beta', false],
    ['1.3.0-beta1', 'beta', false],
    ['1.3.0-Beta.1', 'beta', false],
    ['1.3.0-7', '7', true],
    ['1.3.0-beta.1', '', false],
    ['no version', 'beta', false],
  ])('%s in channel %s: %s', (text, channel, expected) => {
    expect(inChannel(text, channel)).toBe(expected)
  })
})

describe('floors', () => {
  it.each([
    ['^1.2.0', '1.2.0', true],
    ['^1.2.0', '1.2.0+build', true],
    ['^1.2.0', '1.1.9', false],
    ['^1.2.0', '1.3.0-beta.1', true],
    ['^1.2.0', '1.2.0-beta.1', false],
    ['^1.2.0', '2.0.0-beta.1', false],
    ['^0.14.2', '0.14.2-b1', false],
    ['^0.14.2', '0.14.3-b1', true],
    ['>=1.2.0-beta.1', '1.2.0-beta.2', true],
    ['>=1.0.0 <2.0.0', '2.0.0-rc.1', true],
    ['1.x', '1.0.0-rc.1', false],
    ['1.x || 3.x', '3.1.0', true],
    ['1.x || 3.x', '2.1.0', false],
    ['*', '0.0.0-a', true],
    ['1.2.3', '1.2.3+b', true],
    ['>=1.0.0', 'unknown', false],
    ['>=1.0.0', 'v1.0.0', false],
    ['latest', '1.0.0', false],
    ['', '1.0.0', false],
  ])('from %j, %s may update: %s', (range, installed, expected) => {
    expect(mayUpdateFrom(range, installed)).toBe(expected)
  })

  it('compare by precedence alone', () => {
    fc.assert(
      fc.property(version, version, (floor, installed) => {
        expect(mayUpdateFrom(`>=${write(floor)}`, write(installed))).toBe(order(installed, floor) >= 0)
        expect(mayUpdateFrom(`<${write(floor)}`, write(installed))).toBe(order(installed, floor) < 0)
      }),
    )
  })

  it.each(['*', '>=1.2.0', '^1.2 || ~2.3.4', '1.2.3 - 2.0.0', '1.x'])('%j is a range', (text) => expect(isRange(text)).toBe(true))
  it.each(['', ' ', '>=1 ', '>=1\n', 'latest', '>=', 'a || b', `>=1.0.0${' '.repeat(300)}<2`, '>=1.0.0\u00a0'])(
    '%j is no range',
    (text) => {
      expect(isRange(text)).toBe(false)
    },
  )
})

describe('eligibleTags', () => {
  it('picks what names a version of the channel, highest first', () => {
    const tags = ['latest', '1.2.0', 'v1.10.0', '1.9.0', '2.0.0-beta.1', '2.0.0-alpha.1', '1.2', 'sha256-00.sig', '1.0.0_b7']
    expect(eligibleTags(tags, { channel: 'stable' })).toEqual([
      { tag: 'v1.10.0', version: '1.10.0' },
      { tag: '1.9.0', version: '1.9.0' },
      { tag: '1.2.0', version: '1.2.0' },
      { tag: '1.0.0_b7', version: '1.0.0+b7' },
    ])
    expect(eligibleTags(tags, { channel: 'beta' })[0]).toEqual({ tag: '2.0.0-beta.1', version: '2.0.0-beta.1' })
    expect(eligibleTags([], { channel: 'stable' })).toEqual([])
  })

  it('lets the plainest of several tags stand for one version, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(['1.2.3_b', 'v1.2.3_b', 'V1.2.3_b'], { minLength: 1 }), (tags) => {
        const [plainest] = tags.toSorted((a, b) => ['1', 'v', 'V'].indexOf(a[0] as string) - ['1', 'v', 'V'].indexOf(b[0] as string))
        expect(eligibleTags(tags, { channel: 'stable' })).toEqual([{ tag: plainest, version: '1.2.3+b' }])
      }),
    )
  })

  it('keeps versions that differ in build metadata alone, always in the same order, and marks them', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(['1.2.3', '1.2.3_a', '1.2.3_b', '1.3.0', '1.1.0'], { minLength: 5 }), (tags) => {
        expect(eligibleTags(tags, { channel: 'stable' })).toEqual([
          { tag: '1.3.0', version: '1.3.0' },
          { tag: '1.2.3_b', version: '1.2.3+b', ambiguous: true },
          { tag: '1.2.3_a', version: '1.2.3+a', ambiguous: true },
          { tag: '1.2.3', version: '1.2.3', ambiguous: true },
          { tag: '1.1.0', version: '1.1.0' },
        ])
      }),
    )
  })

  it('agrees with the model on any tags', () => {
    const tag = fc.oneof(
      { weight: 4, arbitrary: fc.record({ model: version, prefix: fc.constantFrom('', 'v', 'V') }) },
      fc.constantFrom('latest', '1.2', 'v', ''),
    )
    fc.assert(
      fc.property(fc.array(tag, { maxLength: 30 }), fc.constantFrom('stable', 'beta', 'rc', '7'), (entries, channel) => {
        const tags = entries.map((entry) => (typeof entry === 'string' ? entry : entry.prefix + write(entry.model).replace('+', '_')))
        const models = new Map(entries.flatMap((entry) => (typeof entry === 'string' ? [] : [[write(entry.model), entry.model] as const])))
        const expected = [...models].filter(([, { pre }]) => pre.length === 0 || (channel !== 'stable' && pre[0] === channel))
        const found = eligibleTags(tags, { channel })
        expect(found.map((entry) => entry.version).sort()).toEqual(expected.map(([text]) => text).sort())
        for (const [index, { version: text, tag: name, ambiguous }] of found.entries()) {
          expect(tags).toContain(name)
          const here = models.get(text) as Model
          const next = found[index + 1]
          if (next !== undefined) expect(order(here, models.get(next.version) as Model)).toBeGreaterThanOrEqual(0)
          const equals = expected.filter(([, other]) => order(here, other) === 0).length
          expect(ambiguous === true).toBe(equals > 1)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('refuses a flood of tags, and bears as many as it allows', () => {
    const tags = Array.from({ length: tagLimit + 1 }, (_, index) => `junk-${index}`)
    expect(() => eligibleTags(tags, { channel: 'stable' })).toThrow(expect.objectContaining({ code: 'TOO_MANY_TAGS' }))
    expect(eligibleTags([...tags.slice(0, tagLimit - 1), '1.0.0'], { channel: 'stable' })).toEqual([{ tag: '1.0.0', version: '1.0.0' }])
  })

  it('is not led astray by hostile tags', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 200 })), (tags) => {
        for (const { tag, version: text } of eligibleTags(tags, { channel: 'beta' })) expect(parseTag(tag)).toBe(text)
      }),
    )
    expect(eligibleTags(['__proto__', 'constructor', 'toString', '1.0.0-__proto__'], { channel: '__proto__' })).toEqual([])
  })
})
