/**
 * Time ::= CHOICE { UTCTime, GeneralizedTime }: YYMMDDHHMMSSZ until 2049, YYYYMMDDHHMMSSZ from then on, always in UTC with seconds.
 * RFC 5280, 4.1.2.5. Undefined for anything else.
 */
export function readTime(element: Uint8Array): Date | undefined {
  const [tag, length] = element
  const text = Buffer.from(element.subarray(2)).toString('latin1')
  if (length !== text.length) return undefined
  const match = (tag === 0x17 ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(text)
  if (match === null || (tag !== 0x17 && tag !== 0x18)) return undefined
  const [written = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  const year = tag === 0x18 ? written : written < 50 ? 2000 + written : 1900 + written
  const time = new Date(0)
  // Date.UTC takes years below 100 for those of the last century.
  time.setUTCFullYear(year, month - 1, day)
  time.setUTCHours(hour, minute, second)
  // A thirteenth month or a 61st minute would have been carried over.
  const kept = time.getUTCMonth() === month - 1 && time.getUTCDate() === day && time.getUTCHours() === hour
  return kept && time.getUTCMinutes() === minute && time.getUTCSeconds() === second ? time : undefined
}
