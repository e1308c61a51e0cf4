/** Text from outside as an error message may show it: quoted, and short, because whoever wrote it may have written megabytes. */
export function quoted(text: unknown, limit = 100): string {
  const whole = String(text)
  return JSON.stringify(whole.length > limit ? `${whole.slice(0, limit)}…` : whole)
}
