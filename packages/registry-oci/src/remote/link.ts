// A page of tags has one Link of some hundred bytes.
const headerLimit = 16_384
const entry = /<([^<>]*)>((?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^\s",;]+))?)*)/g
const relation = /;[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^\s",;]+))/i

/** The target of the first link with relation `next`, as written (RFC 8288); undefined where there is none. */
export function nextLink(header: string | readonly string[] | undefined): string | undefined {
  const text = typeof header === 'string' ? header : (header ?? []).join(', ')
  if (text.length > headerLimit) return undefined
  for (const [, target = '', parameters = ''] of text.matchAll(entry)) {
    const found = relation.exec(parameters)
    const relations = (found?.[1] ?? found?.[2] ?? '').toLowerCase().split(/[ \t]+/)
    if (relations.includes('next')) return target
  }
  return undefined
}
