import type { TextSink } from './output.ts'

/** Shows how far long work is. `end` must be called: it stops the timer and clears the bar. */
export interface Progress {
  /** Bytes; `total` 0 where nobody knows. */
  update(done: number, total: number): void
  end(): void
}

/** 10 redraws a second look smooth and cost nothing. */
const barIntervalMs = 100
/** Long enough not to fill a log, short enough that nobody takes the work for hung. */
const lineIntervalMs = 3000
const barCells = 24

/** A bar that redraws itself on a terminal; elsewhere a line every few seconds. Work shorter than one interval shows nothing. */
export function progressOn(stderr: TextSink & { readonly isTTY?: boolean }, label: string): Progress {
  const tty = stderr.isTTY === true
  let done = 0
  let total = 0
  let drawn = false
  const draw = () => {
    drawn = true
    stderr.write(tty ? `\r\u001b[K${label} ${bar(done, total)}` : `${label}: ${amount(done, total)}\n`)
  }
  const timer = setInterval(draw, tty ? barIntervalMs : lineIntervalMs)
  timer.unref()
  return {
    update(bytes, of) {
      done = bytes
      total = of
    },
    end() {
      clearInterval(timer)
      if (tty && drawn) stderr.write('\r\u001b[K')
    },
  }
}

function bar(done: number, total: number): string {
  if (total === 0) return amount(done, total)
  const filled = Math.min(barCells, Math.floor((done / total) * barCells))
  return `[${'#'.repeat(filled)}${'.'.repeat(barCells - filled)}] ${amount(done, total)}`
}

function amount(done: number, total: number): string {
  if (total === 0) return done === 0 ? 'working' : formatBytes(done)
  return `${Math.floor((done / total) * 100)} % of ${formatBytes(total)}`
}

/** Bytes for people: 123 B, 4.5 KiB, 1.2 MiB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const [value, unit] =
    bytes < 1024 ** 2 ? [bytes / 1024, 'KiB'] : bytes < 1024 ** 3 ? [bytes / 1024 ** 2, 'MiB'] : [bytes / 1024 ** 3, 'GiB']
  return `${value.toFixed(1)} ${unit}`
}
