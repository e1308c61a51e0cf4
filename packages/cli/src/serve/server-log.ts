import { isOtaError, type OtaEvent } from '@reflash/core'
import type { OnRequest } from '@reflash/transport-http'
import type { OnMqttRecord } from '@reflash/transport-mqtt'
import type { TextSink } from '../output.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** Structured records on stderr: one JSON document a line, or a line for people on a terminal. Never a token. */
export interface ServerLog {
  record(level: LogLevel, message: string, facts?: object): void
  event(event: OtaEvent): void
  readonly request: OnRequest
  /** What became of a message over MQTT. */
  readonly message: OnMqttRecord
}

export function serverLog(sink: TextSink & { readonly isTTY?: boolean }, least: LogLevel, now: () => Date): ServerLog {
  const floor = logLevels.indexOf(least)
  const record = (level: LogLevel, message: string, facts: object = {}): void => {
    if (logLevels.indexOf(level) < floor) return
    const at = now().toISOString()
    if (sink.isTTY !== true) {
      sink.write(`${JSON.stringify({ at, level, message, ...facts })}\n`)
      return
    }
    const shown = Object.entries(facts)
      .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
      .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    sink.write(`${at.slice(11, 19)} ${level.padEnd(5)} ${[message, ...shown].join('  ')}\n`)
  }
  return {
    record,
    event: (event) =>
      record(
        levelOf(event),
        event.type === 'device' || event.type === 'release' ? `${event.type} ${event.stage} ${event.status}` : event.type,
        rest(event),
      ),
    request: (request, cause) => {
      const level = request.status >= 500 ? 'warn' : request.status === 401 || request.status === 403 ? 'info' : 'debug'
      if (logLevels.indexOf(level) < floor) return
      // A cause is a bug of ours or a broken plugin: its message may help, its stack is for debug.
      record(level, 'request', cause instanceof Error ? { ...request, cause: cause.message } : request)
    },
    message: (message, cause) => {
      const fault = cause === undefined ? undefined : isOtaError(cause) ? cause.fault : 'internal'
      const level = fault === 'internal' || fault === 'unavailable' ? 'warn' : fault === 'rejected' ? 'info' : 'debug'
      record(level, 'mqtt message', fault === 'internal' && cause instanceof Error ? { ...message, cause: cause.message } : message)
    },
  }
}

function levelOf(event: OtaEvent): LogLevel {
  switch (event.type) {
    case 'progress':
      return 'debug'
    case 'release':
    case 'device':
      return event.status === 'failed' ? 'warn' : 'info'
    case 'registry':
      return event.status === 'stale' ? 'warn' : 'info'
    case 'rollout':
      return event.step === 'pause' ? 'warn' : 'info'
    case 'composed':
      return 'info'
  }
}

function rest(event: OtaEvent): object {
  const { type: _, at: __, ...facts } = event
  return facts
}
