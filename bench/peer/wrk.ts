import { fileURLToPath } from 'node:url'
import { runCommand } from '../../scripts/gate/run-command.ts'
import type { MeasuredProcess } from '../measured-process.ts'

/** What is asked of a server. `{n}` in path, headers and body becomes the number of a device. */
export interface Load {
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly devices?: number
}

export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly bytesPerSecond: number
  readonly p99Ms: number
  /** CPU microseconds of the server per request. */
  readonly cpuMicros: number
}

export const wrkInstall = 'apt-get install wrk'

export async function hasWrk(): Promise<boolean> {
  const { code } = await runCommand(['wrk', '--version'])
  return code !== 127
}

const script = fileURLToPath(new URL('report.lua', import.meta.url))

/** Loads a server with 64 connections from one thread. Anything but a good answer to every request fails the run. */
export async function wrk(load: Load, base: string, server: MeasuredProcess, seconds: number): Promise<LoadResult> {
  const headers = Object.entries(load.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const env = { WRK_METHOD: load.method ?? 'GET', WRK_PATH: load.path, WRK_BODY: load.body ?? '', WRK_DEVICES: String(load.devices ?? 1) }
  const before = server.cpuSeconds()
  const { code, output } = await runCommand(['wrk', '-t1', '-c64', `-d${seconds}s`, '--timeout', '30s', '-s', script, ...headers, base], {
    env,
  })
  const cpu = server.cpuSeconds() - before
  const result = /^RESULT (.*)$/m.exec(output)?.[1]
  if (code !== 0 || result === undefined) throw new Error(`wrk failed on ${base}${load.path}\n${output}`)
  const { requests, bytes, durationMicros, p99Micros, errors } = JSON.parse(result) as Record<
    'requests' | 'bytes' | 'durationMicros' | 'p99Micros' | 'errors',
    number
  >
  if (errors > 0 || requests === 0) throw new Error(`${base}${load.path}: ${errors} of ${requests} requests failed\n${output}`)
  const wallSeconds = durationMicros / 1e6
  return {
    requests,
    requestsPerSecond: requests / wallSeconds,
    bytesPerSecond: bytes / wallSeconds,
    p99Ms: p99Micros / 1000,
    cpuMicros: (cpu * 1e6) / requests,
  }
}
