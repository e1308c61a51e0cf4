import { describe, expect, test } from 'vitest'
import { nextLink } from '../../src/remote/link.ts'

describe('nextLink', () => {
  test('reads the forms that registries send', () => {
    expect(nextLink('</v2/a/tags/list?last=b&n=2>; rel="next"')).toBe('/v2/a/tags/list?last=b&n=2')
    expect(nextLink('<?last=b,c>;rel=next')).toBe('?last=b,c')
    expect(nextLink('</x>; title="a;b,c>"; rel="prev", </y>; title=z; REL="last NEXT"')).toBe('/y')
    expect(nextLink(['</x>; rel=prev', '</y>; rel=next'])).toBe('/y')
  })

  test('finds none where there is none', () => {
    for (const header of [
      undefined,
      '',
      '</x>',
      '</x>; rel=prev',
      'x; rel=next',
      `<${'x'.repeat(20_000)}>; rel=next`,
      '<</x>; rel="nextpage"',
    ]) {
      expect(nextLink(header)).toBeUndefined()
    }
  })

  test('takes no long over hostile headers', () => {
    const started = performance.now()
    for (const bad of ['<', '<>', '<>;', '<a>; b="', '<a>; ', '<a> ;=', '; rel']) nextLink(bad.repeat(16_000 / bad.length))
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
