/** What came from outside as an error message may show it: text quoted, and short, because whoever wrote it may have written megabytes. */
export function quoted(found: unknown, limit = 100): string {
  if (typeof found === 'string') return JSON.stringify(found.length > limit ? `${found.slice(0, limit)}…` : found)
  // Not through its own toString: JSON from outside may hold a member of that name, which is no function.
  if (typeof found === 'object' && found !== null) return Array.isArray(found) ? 'an array' : 'an object'
  return String(found)
}
