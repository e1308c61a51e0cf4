/** One line of the result: a figure, and where it has a goal, whether it was reached. */
export interface Line {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly atLeast?: number
  readonly atMost?: number
}

export function reached({ value, atLeast, atMost }: Line): boolean {
  return (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost)
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** The line as people read it. */
export function printed(line: Line): string {
  const { what, value, unit, atLeast, atMost } = line
  const figure = `${what.padEnd(58)} ${rounded(value).padStart(8)} ${unit}`
  if (atLeast === undefined && atMost === undefined) return figure
  const goal = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`
  return `${figure.padEnd(76)} goal ${goal}: ${reached(line) ? 'reached' : 'MISSED'}`
}
